// Kaldi-compatible log-mel filter banks (and MFCC): 25/10 ms Hamming windows, int16 scale, pre-emphasis 0.97,
// DC removed, 512-point power spectrum, 20 Hz to Nyquist, natural log floored at FLT_EPSILON, snip-edges.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/rng.h"

typedef struct FbankOptions {
    int n_mels;            // 80
    int n_ceps;            // 0: log-mel; else this many MFCCs (DCT-II, orthonormal)
    float cepstral_lifter; // 22; 0: none
    float low_hz, high_hz; // 20, 0 (Nyquist); high <= 0 counts from Nyquist
    float dither;          // 1.0 in training, 0 at test; in int16 units
    bool povey_window;     // false: Hamming
} FbankOptions;

FbankOptions fbank_defaults(void);

typedef struct Fbank Fbank; // tables; read-only after creation, so shared by threads

Fbank *fbank_create(const FbankOptions *options);
void fbank_destroy(Fbank *fbank);
int64_t fbank_dim(const Fbank *fbank);
int64_t fbank_frames(int64_t n_samples); // 1 + (n - 400) / 160, 0 when shorter than one window
int64_t fbank_samples(int64_t n_frames); // (F - 1) * 160 + 400
// samples in [-1, 1); features [frames, dim]; dither draws from rng (NULL: no dither).
void fbank_compute(const Fbank *fbank, const float *samples, int64_t n_samples, Rng *rng, float *features);
void fbank_subtract_mean(float *features, int64_t n_frames, int64_t dim);
