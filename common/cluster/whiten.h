// Whitening by principal components: subtract the mean, rotate, divide each direction by its standard
// deviation, keep the strongest directions. After it no direction of the embedding space, such as one that
// follows the channel or the loudness, outweighs the others in a cosine or Euclidean distance.
#pragma once
#include <stdint.h>
#include "base/error.h"

typedef struct Whitening {
    int64_t dim, kept;
    double *mean;       // [dim]
    double *vectors;    // [kept, dim] of length 1, the strongest direction first
    double *deviations; // [kept] standard deviation along each
} Whitening;

// From rows [n, dim]: at most keep directions, never more than n - 1, and none whose variance is below 1e-6
// of the largest or at the level of rounding, which would be blown up to noise; an error where no direction
// is left. Works in O(dim^2) memory. On failure w is as it was.
int whitening_fit(const float *rows, int64_t n, int64_t dim, int64_t keep, Whitening *w, Error *error);
// rows [n, dim], those that it was made from or others -> whitened [n, kept].
void whitening_apply(const Whitening *w, const float *rows, int64_t n, float *whitened);
void whitening_release(Whitening *w);
