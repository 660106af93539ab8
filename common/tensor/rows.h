// Loops over the rows of a matrix [rows, cols] that several operators share; parallel when they are large.
#pragma once
#include <stdint.h>

// Loops over fewer elements stay on one thread: waking the others would take longer than the loop, much
// longer where cores are shared with other programs.
enum { PARALLEL_FROM = 1 << 15 };

// y[r, :] = row, with y's rows `stride` floats apart
void rows_fill(float *y, int64_t stride, const float *row, int64_t rows, int64_t cols);
// to[r, :] = from[r, :], and to[r, :] += from[r, :]
void rows_copy(float *to, int64_t to_stride, const float *from, int64_t from_stride, int64_t rows,
               int64_t cols);
void rows_add(float *to, int64_t to_stride, const float *from, int64_t from_stride, int64_t rows,
              int64_t cols);
// sum[c] += sum over rows of x[r, c], taken in double
void rows_sum(float *sum, const float *x, int64_t rows, int64_t cols);
