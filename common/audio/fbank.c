#include "audio/fbank.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include <kissfft/kiss_fftr.h>

#include "audio/rough_normal.h"
#include "base/memory.h"

enum { RATE_HZ = 16000, WINDOW = 400, SHIFT = 160, FFT_SIZE = 512, N_BINS = FFT_SIZE / 2 };

static const double PRE_EMPHASIS = 0.97;

// One triangle: weights [n] for the power spectrum's bins first .. first + n - 1.
typedef struct MelFilter {
    int first, n;
    float weights[N_BINS];
} MelFilter;

struct Fbank {
    FbankOptions options;
    float window[WINDOW];
    MelFilter *filters; // [n_mels]
    float *cosines;     // [n_ceps, n_mels], with the lifter; NULL: log-mel
};

FbankOptions fbank_defaults(void)
{
    return (FbankOptions){.n_mels = 80, .cepstral_lifter = 22, .low_hz = 20};
}

static double mel(double hz)
{
    return 1127.0 * log(1.0 + hz / 700.0);
}

static void fill_window(float window[WINDOW], bool povey)
{
    for (int i = 0; i < WINDOW; i++) {
        double turn = cos(2 * M_PI * i / (WINDOW - 1));
        window[i] = (float)(povey ? pow(0.5 - 0.5 * turn, 0.85) : 0.54 - 0.46 * turn);
    }
}

// Triangles that are equally wide in mel; the weight is linear in mel, too (Kaldi's mel-computations.cc).
static void fill_filters(MelFilter *filters, const FbankOptions *options)
{
    double high_hz = options->high_hz > 0 ? options->high_hz : RATE_HZ / 2.0 + options->high_hz;
    double low = mel(options->low_hz), step = (mel(high_hz) - low) / (options->n_mels + 1);
    for (int m = 0; m < options->n_mels; m++) {
        MelFilter *filter = &filters[m];
        double left = low + m * step, centre = left + step, right = centre + step;
        for (int bin = 0; bin < N_BINS; bin++) {
            double x = mel((double)bin * RATE_HZ / FFT_SIZE);
            if (x <= left || x >= right)
                continue;
            if (filter->n == 0)
                filter->first = bin;
            filter->weights[filter->n++] = (float)(x <= centre ? (x - left) / step : (right - x) / step);
        }
    }
}

// Row k of the orthonormal DCT-II, times the lifter 1 + Q/2 sin(pi k / Q).
static void fill_cosines(float *cosines, const FbankOptions *options)
{
    int n = options->n_mels;
    double lifter = options->cepstral_lifter;
    for (int k = 0; k < options->n_ceps; k++) {
        double scale = sqrt((k == 0 ? 1.0 : 2.0) / n);
        if (lifter > 0)
            scale *= 1 + 0.5 * lifter * sin(M_PI * k / lifter);
        for (int m = 0; m < n; m++)
            cosines[k * n + m] = (float)(scale * cos(M_PI * k * (m + 0.5) / n));
    }
}

Fbank *fbank_create(const FbankOptions *options)
{
    Fbank *fbank = mem_zero(1, sizeof *fbank);
    fbank->options = *options;
    fbank->filters = mem_zero((size_t)options->n_mels, sizeof(MelFilter));
    fill_window(fbank->window, options->povey_window);
    fill_filters(fbank->filters, options);
    if (options->n_ceps > 0) {
        fbank->cosines = mem_alloc((size_t)options->n_ceps * (size_t)options->n_mels, sizeof(float));
        fill_cosines(fbank->cosines, options);
    }
    return fbank;
}

void fbank_destroy(Fbank *fbank)
{
    if (!fbank)
        return;
    mem_free(fbank->cosines);
    mem_free(fbank->filters);
    mem_free(fbank);
}

int64_t fbank_dim(const Fbank *fbank)
{
    return fbank->options.n_ceps > 0 ? fbank->options.n_ceps : fbank->options.n_mels;
}

int64_t fbank_frames(int64_t n_samples)
{
    return n_samples < WINDOW ? 0 : 1 + (n_samples - WINDOW) / SHIFT;
}

int64_t fbank_samples(int64_t n_frames)
{
    return n_frames > 0 ? (n_frames - 1) * SHIFT + WINDOW : 0;
}

// Int16 scale, dither, mean removed, pre-emphasis, window; zeros up to the FFT's size.
static void cut_frame(const Fbank *fbank, const float *samples, Rng *rng, float frame[FFT_SIZE])
{
    float dither = rng ? fbank->options.dither : 0;
    double sum = 0;
    for (int i = 0; i < WINDOW; i++) {
        frame[i] = samples[i] * 32768.0f;
        if (dither > 0)
            frame[i] += dither * rough_normal(rng);
        sum += frame[i];
    }
    float mean = (float)(sum / WINDOW), previous = frame[0] - mean;
    for (int i = 0; i < WINDOW; i++) {
        float sample = frame[i] - mean;
        frame[i] = (sample - (float)PRE_EMPHASIS * previous) * fbank->window[i];
        previous = sample;
    }
    memset(frame + WINDOW, 0, (FFT_SIZE - WINDOW) * sizeof(float));
}

static void log_mel(const Fbank *fbank, const kiss_fft_cpx *spectrum, float *energies)
{
    float power[N_BINS];
    for (int bin = 0; bin < N_BINS; bin++)
        power[bin] = spectrum[bin].r * spectrum[bin].r + spectrum[bin].i * spectrum[bin].i;
    for (int m = 0; m < fbank->options.n_mels; m++) {
        const MelFilter *filter = &fbank->filters[m];
        float energy = 0;
        for (int i = 0; i < filter->n; i++)
            energy += filter->weights[i] * power[filter->first + i];
        energies[m] = logf(fmaxf(energy, FLT_EPSILON));
    }
}

static void cepstra(const Fbank *fbank, const float *energies, float *out)
{
    int n = fbank->options.n_mels;
    for (int k = 0; k < fbank->options.n_ceps; k++) {
        double sum = 0;
        for (int m = 0; m < n; m++)
            sum += (double)fbank->cosines[k * n + m] * energies[m];
        out[k] = (float)sum;
    }
}

void fbank_compute(const Fbank *fbank, const float *samples, int64_t n_samples, Rng *rng, float *features)
{
    int64_t n_frames = fbank_frames(n_samples), dim = fbank_dim(fbank);
    // kissfft keeps scratch space in its plan, so every call has its own.
    kiss_fftr_cfg plan = mem_require(kiss_fftr_alloc(FFT_SIZE, 0, NULL, NULL));
    float *energies = mem_alloc((size_t)fbank->options.n_mels, sizeof(float));
    for (int64_t t = 0; t < n_frames; t++) {
        float frame[FFT_SIZE];
        kiss_fft_cpx spectrum[N_BINS + 1];
        cut_frame(fbank, samples + t * SHIFT, rng, frame);
        kiss_fftr(plan, frame, spectrum);
        log_mel(fbank, spectrum, fbank->cosines ? energies : features + t * dim);
        if (fbank->cosines)
            cepstra(fbank, energies, features + t * dim);
    }
    mem_free(energies);
    kiss_fftr_free(plan);
}

void fbank_subtract_mean(float *features, int64_t n_frames, int64_t dim)
{
    for (int64_t d = 0; d < dim; d++) {
        double sum = 0;
        for (int64_t t = 0; t < n_frames; t++)
            sum += features[t * dim + d];
        float mean = (float)(sum / (double)(n_frames > 0 ? n_frames : 1));
        for (int64_t t = 0; t < n_frames; t++)
            features[t * dim + d] -= mean;
    }
}
