// The one seam for matrix products (OpenBLAS behind it). Row-major, 64-bit sizes.
//
//     c[m, n] = alpha * op(a)[m, k] * op(b)[k, n] + beta * c
//
// lda, ldb, ldc are row strides in floats and may be smaller than the row length for a (overlapping rows: a
// strided convolution as one product) as long as reading stays inside the buffer.
#pragma once
#include <stdbool.h>
#include <stdint.h>

void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
          int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

double
gemm_flop_count(void); // floating-point operations (2mnk each) since the program started, for the benchmarks
