#include "audio/speech_frames.h"

#include <math.h>
#include <string.h>

#include "audio/fbank.h"
#include "base/memory.h"

enum { N_MELS = 30, DELTA_WINDOW = 3, SHIFT = 160, LENGTH = 400, VAD_CONTEXT = 2 };
static const float ENERGY_THRESHOLD = 5.5f, ENERGY_MEAN_SCALE = 0.5f, VOICED_SHARE = 0.12f;
static const double INT16_SCALE = 32768;

struct SpeechFrames {
    SpeechFramesOptions options;
    Fbank *mfcc;
};

SpeechFrames *speech_frames_create(const SpeechFramesOptions *options)
{
    SpeechFrames *speech = mem_zero(1, sizeof *speech);
    FbankOptions mfcc = fbank_defaults();
    mfcc.n_mels = N_MELS;
    mfcc.n_ceps = (int)options->n_ceps;
    mfcc.cepstral_lifter = 22;
    mfcc.high_hz = -400;
    mfcc.dither = 0;
    speech->options = *options;
    speech->mfcc = fbank_create(&mfcc);
    return speech;
}

void speech_frames_destroy(SpeechFrames *speech)
{
    if (!speech)
        return;
    fbank_destroy(speech->mfcc);
    mem_free(speech);
}

int64_t speech_frames_dim(const SpeechFrames *speech)
{
    return speech->options.n_ceps * (speech->options.delta_order + 1);
}

void speech_deltas(const float *x, int64_t n, int64_t dim, int64_t stride, int64_t window, float *delta)
{
    float squares = 0;
    for (int64_t k = 1; k <= window; k++)
        squares += 2 * (float)(k * k);
    for (int64_t t = 0; t < n; t++)
        for (int64_t d = 0; d < dim; d++) {
            float sum = 0;
            for (int64_t k = 1; k <= window; k++) {
                int64_t after = t + k < n ? t + k : n - 1, before = t - k > 0 ? t - k : 0;
                sum += (float)k * (x[after * stride + d] - x[before * stride + d]);
            }
            delta[t * stride + d] = sum / squares;
        }
}

void speech_subtract_sliding_mean(float *x, int64_t n, int64_t dim, int64_t window)
{
    if (window > n)
        window = n;
    double *sum = mem_zero((size_t)dim, sizeof(double));
    float *copy = mem_alloc((size_t)(n * dim), sizeof(float));
    memcpy(copy, x, (size_t)(n * dim) * sizeof(float));
    int64_t first = 0, end = 0; // what is in the sum
    for (int64_t t = 0; t < n; t++) {
        int64_t start = t - window / 2;
        start = start < 0 ? 0 : start > n - window ? n - window : start;
        for (; end < start + window; end++)
            for (int64_t d = 0; d < dim; d++)
                sum[d] += copy[end * dim + d];
        for (; first < start; first++)
            for (int64_t d = 0; d < dim; d++)
                sum[d] -= copy[first * dim + d];
        for (int64_t d = 0; d < dim; d++)
            x[t * dim + d] -= (float)(sum[d] / (double)window);
    }
    mem_free(copy);
    mem_free(sum);
}

void speech_vad(const float *log_energy, int64_t n, bool *voiced)
{
    double mean = 0;
    for (int64_t t = 0; t < n; t++)
        mean += log_energy[t] / (double)n;
    float threshold = ENERGY_THRESHOLD + ENERGY_MEAN_SCALE * (float)mean;
    for (int64_t t = 0; t < n; t++) {
        int n_seen = 0, n_above = 0;
        for (int64_t s = t - VAD_CONTEXT; s <= t + VAD_CONTEXT; s++) {
            if (s < 0 || s >= n)
                continue;
            n_seen++;
            n_above += log_energy[s] > threshold;
        }
        voiced[t] = (float)n_above >= VOICED_SHARE * (float)n_seen;
    }
}

// Of int16 samples without their mean, floored as Kaldi does.
static float frame_log_energy(const float *samples)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < LENGTH; i++) {
        sum += samples[i];
        squares += (double)samples[i] * samples[i];
    }
    double energy = (squares - sum * sum / LENGTH) * INT16_SCALE * INT16_SCALE;
    return logf(fmaxf((float)energy, 1.1920929e-7f));
}

// Moves the voiced frames to the front; returns how many there are.
static int64_t keep_voiced(const float *samples, int64_t n, int64_t dim, float *frames)
{
    float *log_energy = mem_alloc((size_t)n, sizeof(float));
    bool *voiced = mem_alloc((size_t)n, sizeof(bool));
    int64_t n_kept = 0;
    for (int64_t t = 0; t < n; t++)
        log_energy[t] = frame_log_energy(samples + t * SHIFT);
    speech_vad(log_energy, n, voiced);
    for (int64_t t = 0; t < n; t++)
        if (voiced[t])
            memmove(frames + n_kept++ * dim, frames + t * dim, (size_t)dim * sizeof(float));
    mem_free(voiced);
    mem_free(log_energy);
    return n_kept ? n_kept : n;
}

int64_t speech_frames_compute(const SpeechFrames *speech, const float *samples, int64_t n_samples,
                              float *frames)
{
    const SpeechFramesOptions *options = &speech->options;
    int64_t n = fbank_frames(n_samples), ceps = options->n_ceps, dim = speech_frames_dim(speech);
    float *mfcc = mem_alloc((size_t)(n * ceps), sizeof(float));
    fbank_compute(speech->mfcc, samples, n_samples, NULL, mfcc);
    for (int64_t t = 0; t < n; t++)
        memcpy(frames + t * dim, mfcc + t * ceps, (size_t)ceps * sizeof(float));
    mem_free(mfcc);
    for (int64_t order = 0; order < options->delta_order; order++)
        speech_deltas(frames + order * ceps, n, ceps, dim, DELTA_WINDOW, frames + (order + 1) * ceps);
    if (options->mean_window > 0)
        speech_subtract_sliding_mean(frames, n, dim, options->mean_window);
    return options->vad ? keep_voiced(samples, n, dim, frames) : n;
}
