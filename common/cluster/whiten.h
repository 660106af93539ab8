// Whitening by principal components: subtract the mean, rotate, divide each direction by its standard
// deviation, keep the strongest directions. After it no direction of the embedding space, such as one that
// follows the channel or the loudness, outweighs the others in a cosine or Euclidean distance.
#pragma once
#include <stdint.h>
#include "base/error.h"

// rows [n, dim] -> *whitened [n, *kept], new, freed by the caller; rows are not changed. At most keep
// directions, never more than n - 1, and none whose variance is below 1e-6 of the largest or at the level of
// rounding, which would be blown up to noise; an error where no direction is left. Works in O(dim^2) memory
// besides the result.
int whiten(const float *rows, int64_t n, int64_t dim, int64_t keep, float **whitened, int64_t *kept,
           Error *error);
