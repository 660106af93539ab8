// A flat view of embeddings: their first two principal components.
//
// Rows are scaled to length one first, because cosine is what scores them. At most `most` rows are taken, at
// random but always the same ones for the same count; components come from power iteration with deflation
// (Golub and Van Loan, Matrix Computations, section 7.3) on that sample, which needs no factorisation.
#pragma once
#include <stdint.h>

typedef struct Projection {
    int64_t *rows; // [n] indices into the embeddings, rising
    double *x, *y; // [n] first and second component
    int64_t n;
    double share_x, share_y; // of the variance, 0 .. 1
} Projection;

// matrix: [n, dim].
void projection_compute(const float *matrix, int64_t n, int64_t dim, int64_t most, Projection *projection);
void projection_release(Projection *projection);
