#include "tensor/rows.h"

#include <string.h>

enum { BLOCK = 16 }; // columns that fit two registers of doubles

void rows_fill(float *y, int64_t stride, const float *row, int64_t rows, int64_t cols)
{
#pragma omp parallel for schedule(static) if (rows * cols > PARALLEL_FROM)
    for (int64_t r = 0; r < rows; r++)
        memcpy(y + r * stride, row, (size_t)cols * sizeof(float));
}

void rows_copy(float *to, int64_t to_stride, const float *from, int64_t from_stride, int64_t rows,
               int64_t cols)
{
#pragma omp parallel for schedule(static) if (rows * cols > PARALLEL_FROM)
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + r * to_stride, from + r * from_stride, (size_t)cols * sizeof(float));
}

void rows_add(float *to, int64_t to_stride, const float *from, int64_t from_stride, int64_t rows,
              int64_t cols)
{
#pragma omp parallel for schedule(static) if (rows * cols > PARALLEL_FROM)
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int64_t c = 0; c < cols; c++)
            to[r * to_stride + c] += from[r * from_stride + c];
}

// Called with a constant width where a block is whole, so that the sums stay in registers.
static inline __attribute__((always_inline)) void sum_block(float *sum, const float *x, int64_t rows,
                                                            int64_t cols, int64_t width)
{
    double sums[BLOCK] = {0};
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < width; c++)
            sums[c] += x[r * cols + c];
    for (int64_t c = 0; c < width; c++)
        sum[c] += (float)sums[c];
}

void rows_sum(float *sum, const float *x, int64_t rows, int64_t cols)
{
#pragma omp parallel for schedule(static) if (rows * cols > PARALLEL_FROM)
    for (int64_t from = 0; from < cols; from += BLOCK) {
        if (cols - from >= BLOCK)
            sum_block(sum + from, x + from, rows, cols, BLOCK);
        else
            sum_block(sum + from, x + from, rows, cols, cols - from);
    }
}
