// SpecAugment (Park et al. 2019) without warping, in wespeaker's sizes: one stretch of 1 to 10 frames and one
// band of 1 to 8 bins become 0, which is the mean of mean-normalised filter banks.
#pragma once
#include <stdint.h>
#include "base/rng.h"

enum { SPEC_AUGMENT_FRAMES = 10, SPEC_AUGMENT_BINS = 8 };

// features [n_frames, n_bins], in place.
void spec_augment(Rng *rng, float *features, int64_t n_frames, int64_t n_bins);
