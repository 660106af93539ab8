// Cosine scores of trials. Products in double: a score has the same digits whatever the order of trials.
#pragma once
#include <stdint.h>
#include "score/trials.h"

// Divides each row of matrix [n, dim] by its length. Returns the index of the first row that is zero or not
// finite (the matrix is then unchanged from that row on), or -1.
int64_t rows_normalise(float *matrix, int64_t n, int64_t dim);

// Subtracts the mean row.
void rows_subtract_mean(float *matrix, int64_t n, int64_t dim);

// The mean row, a new block [dim]; and a row's subtraction from all. A row of which only rounding is left
// becomes zero.
float *rows_mean(const float *matrix, int64_t n, int64_t dim);
void rows_subtract(float *matrix, int64_t n, int64_t dim, const float *row);

// rows [n, dim] of length 1; scores [trials->n]
void cosine_score(const float *rows, int64_t dim, const Trials *trials, double *scores);
