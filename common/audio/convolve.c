#include "audio/convolve.h"

#include <kissfft/kiss_fft.h>
#include <string.h>

#include "base/memory.h"

enum { FFT_SIZE = 32768 }; // a power of two: kissfft then needs no scratch space in its plan

struct Convolver {
    kiss_fft_cfg forward, backward;
};

Convolver *convolver_create(void)
{
    Convolver *convolver = mem_alloc(1, sizeof *convolver);
    convolver->forward = mem_require(kiss_fft_alloc(FFT_SIZE, 0, NULL, NULL));
    convolver->backward = mem_require(kiss_fft_alloc(FFT_SIZE, 1, NULL, NULL));
    return convolver;
}

void convolver_destroy(Convolver *convolver)
{
    if (!convolver)
        return;
    kiss_fft_free(convolver->forward);
    kiss_fft_free(convolver->backward);
    mem_free(convolver);
}

// block = first + i second, zeros behind; a part that lies behind the signal's end is zeros, too.
static void load_pair(const float *samples, int64_t n_samples, int64_t start, int64_t length,
                      kiss_fft_cpx *block)
{
    memset(block, 0, FFT_SIZE * sizeof *block);
    for (int64_t t = 0; t < length && start + t < n_samples; t++)
        block[t].r = samples[start + t];
    for (int64_t t = 0; t < length && start + length + t < n_samples; t++)
        block[t].i = samples[start + length + t];
}

// kissfft's inverse is not divided by the size.
static void multiply(const kiss_fft_cpx *response, kiss_fft_cpx *spectrum)
{
    for (int64_t f = 0; f < FFT_SIZE; f++) {
        kiss_fft_cpx h = response[f], x = spectrum[f];
        spectrum[f].r = (h.r * x.r - h.i * x.i) / FFT_SIZE;
        spectrum[f].i = (h.r * x.i + h.i * x.r) / FFT_SIZE;
    }
}

static void add_pair(const kiss_fft_cpx *block, int64_t start, int64_t length, int64_t n_samples, float *out)
{
    for (int64_t t = 0; t < FFT_SIZE && start + t < n_samples; t++)
        out[start + t] += block[t].r;
    for (int64_t t = 0; t < FFT_SIZE && start + length + t < n_samples; t++)
        out[start + length + t] += block[t].i;
}

void convolver_apply(const Convolver *convolver, const float *taps, int64_t n_taps, float *samples,
                     int64_t n_samples)
{
    kiss_fft_cpx *response = mem_alloc(3 * FFT_SIZE, sizeof *response), *block = response + FFT_SIZE,
                 *spectrum = block + FFT_SIZE;
    float *out = mem_zero((size_t)n_samples, sizeof *out);
    int64_t length = FFT_SIZE - n_taps + 1; // of a block, so that its reverberation fits behind it
    load_pair(taps, n_taps, 0, n_taps, block);
    kiss_fft(convolver->forward, block, response);
    for (int64_t start = 0; start < n_samples; start += 2 * length) {
        load_pair(samples, n_samples, start, length, block);
        kiss_fft(convolver->forward, block, spectrum);
        multiply(response, spectrum);
        kiss_fft(convolver->backward, spectrum, block);
        add_pair(block, start, length, n_samples, out);
    }
    memcpy(samples, out, (size_t)n_samples * sizeof *samples);
    mem_free(out);
    mem_free(response);
}
