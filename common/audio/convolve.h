// Convolution with long impulse responses by FFT (overlap-add).
//
// Two blocks of the real signal travel as real and imaginary part of one complex transform: the response is
// real, so they stay apart.
#pragma once
#include <stdint.h>

enum { CONVOLVER_MAX_TAPS = 16000 }; // one second at 16 kHz

typedef struct Convolver Convolver; // read-only after creation, so shared by threads

Convolver *convolver_create(void);
void convolver_destroy(Convolver *convolver); // NULL is fine
// samples[t] = sum over k of taps[k] samples[t - k], in place, cut at n_samples. n_taps <=
// CONVOLVER_MAX_TAPS.
void convolver_apply(const Convolver *convolver, const float *taps, int64_t n_taps, float *samples,
                     int64_t n_samples);
