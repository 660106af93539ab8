#include "audio/front_end.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio/fbank.h"
#include "base/memory.h"

enum { N_MELS = 80 };
static const double LOUD = 0.95, FLOOR = 1e-5, SPEECH = 1e-3; // see front_end.h

struct FrontEnd {
    EncoderInput input;
    Fbank *fbank; // NULL for waveforms
};

InputShape front_end_shape(EncoderInput input, int64_t n_samples)
{
    return input != ENCODER_WAVEFORM ? (InputShape){fbank_frames(n_samples), N_MELS}
                                     : (InputShape){n_samples, 1};
}

int64_t front_end_samples(EncoderInput input, int64_t length)
{
    return input != ENCODER_WAVEFORM ? fbank_samples(length) : length;
}

const char *front_end_unit(EncoderInput input)
{
    return input != ENCODER_WAVEFORM ? "frames" : "samples";
}

bool front_end_has_bands(EncoderInput input)
{
    return input != ENCODER_WAVEFORM;
}

FrontEnd *front_end_create(EncoderInput input)
{
    FrontEnd *front_end = mem_zero(1, sizeof *front_end);
    front_end->input = input;
    if (input != ENCODER_WAVEFORM) {
        FbankOptions options = fbank_defaults();
        options.n_mels = N_MELS;
        options.dither = 1; // where a stream is given
        front_end->fbank = fbank_create(&options);
    }
    return front_end;
}

void front_end_destroy(FrontEnd *front_end)
{
    if (!front_end)
        return;
    fbank_destroy(front_end->fbank);
    mem_free(front_end);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// energies [n]: of each frame, all bands together. Returns the one that 5 % of the frames exceed.
static double loud_energy(const float *log_mel, int64_t n, double *energies)
{
    double *sorted = mem_alloc((size_t)n, sizeof(double));
    for (int64_t t = 0; t < n; t++) {
        energies[t] = 0;
        for (int m = 0; m < N_MELS; m++)
            energies[t] += exp((double)log_mel[t * N_MELS + m]);
    }
    memcpy(sorted, energies, (size_t)n * sizeof(double));
    qsort(sorted, (size_t)n, sizeof(double), compare_doubles);
    double loud = sorted[(int64_t)(LOUD * (double)(n - 1))];
    mem_free(sorted);
    return loud;
}

// features [n, N_MELS] from log-mel to floored filter banks, in place; n >= 1.
static void put_floor(float *features, int64_t n)
{
    double *energies = mem_alloc((size_t)n, sizeof(double)), loud = loud_energy(features, n, energies);
    double sums[N_MELS] = {0};
    int64_t n_speech = 0;
    for (int64_t t = 0; t < n; t++) {
        bool is_speech = energies[t] >= SPEECH * loud;
        n_speech += is_speech;
        for (int m = 0; m < N_MELS; m++) {
            float *x = &features[t * N_MELS + m];
            *x = logf(expf(*x) + (float)(FLOOR * loud));
            sums[m] += is_speech ? *x : 0;
        }
    }
    for (int64_t i = 0; i < n * N_MELS; i++)
        features[i] -= (float)(sums[i % N_MELS] / (double)n_speech);
    mem_free(energies);
}

void front_end_compute(const FrontEnd *front_end, const float *samples, int64_t n_samples, Rng *dither,
                       float *row)
{
    if (!front_end->fbank) {
        memcpy(row, samples, (size_t)n_samples * sizeof(float));
        return;
    }
    fbank_compute(front_end->fbank, samples, n_samples, dither, row);
    int64_t n_frames = fbank_frames(n_samples);
    if (front_end->input == ENCODER_FBANK)
        fbank_subtract_mean(row, n_frames, N_MELS);
    else if (n_frames > 0)
        put_floor(row, n_frames);
}
