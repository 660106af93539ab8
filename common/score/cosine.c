#include "score/cosine.h"

#include <math.h>

#include "base/memory.h"

// Of a row's length: less is left only by rounding.
static const double NOTHING_LEFT = 1e-6;

int64_t rows_normalise(float *matrix, int64_t n, int64_t dim)
{
    for (int64_t i = 0; i < n; i++) {
        float *row = matrix + i * dim;
        double norm2 = 0;
        for (int64_t d = 0; d < dim; d++)
            norm2 += (double)row[d] * row[d];
        if (!isfinite(norm2) || norm2 <= 0)
            return i;
        double scale = 1 / sqrt(norm2);
        for (int64_t d = 0; d < dim; d++)
            row[d] = (float)(row[d] * scale);
    }
    return -1;
}

float *rows_mean(const float *matrix, int64_t n, int64_t dim)
{
    double *sums = mem_zero((size_t)dim, sizeof(double));
    float *mean = mem_alloc((size_t)dim, sizeof(float));
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < dim; d++)
            sums[d] += matrix[i * dim + d];
    for (int64_t d = 0; d < dim; d++)
        mean[d] = (float)(sums[d] / (double)n);
    mem_free(sums);
    return mean;
}

void rows_subtract(float *matrix, int64_t n, int64_t dim, const float *row)
{
    for (int64_t i = 0; i < n; i++) {
        float *x = matrix + i * dim;
        double before = 0, after = 0;
        for (int64_t d = 0; d < dim; d++) {
            before += (double)x[d] * x[d];
            x[d] -= row[d];
            after += (double)x[d] * x[d];
        }
        for (int64_t d = 0; d < dim && after < NOTHING_LEFT * NOTHING_LEFT * before; d++)
            x[d] = 0;
    }
}

void rows_subtract_mean(float *matrix, int64_t n, int64_t dim)
{
    float *mean = rows_mean(matrix, n, dim);
    rows_subtract(matrix, n, dim, mean);
    mem_free(mean);
}

void cosine_score(const float *rows, int64_t dim, const Trials *trials, double *scores)
{
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < trials->n; t++) {
        const float *x = rows + trials->trials[t].enroll * dim, *y = rows + trials->trials[t].test * dim;
        double sum = 0;
        for (int64_t d = 0; d < dim; d++)
            sum += (double)x[d] * y[d];
        scores[t] = sum;
    }
}
