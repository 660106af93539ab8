#include "score/score_norm.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "tensor/gemm.h"

enum { BLOCK_ROWS = 256 };
static const double SMALLEST_DEVIATION = 1e-6; // what float products vary by

static int descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

static void moments(const float *values, int64_t n, double *mean, double *deviation)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += values[i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        squares += (values[i] - *mean) * (values[i] - *mean);
    *deviation = sqrt(squares / (double)n);
}

static void lend_deviations(CohortStatistics *s, int64_t n)
{
    double sum = 0;
    s->n_flat = 0;
    s->first_flat = -1;
    for (int64_t i = n; i-- > 0;) {
        if (s->deviation[i] >= SMALLEST_DEVIATION) {
            sum += s->deviation[i];
            continue;
        }
        s->n_flat++;
        s->first_flat = i;
    }
    for (int64_t i = 0; i < n && s->n_flat < n; i++)
        if (s->deviation[i] < SMALLEST_DEVIATION)
            s->deviation[i] = sum / (double)(n - s->n_flat);
}

CohortStatistics cohort_statistics(const float *rows, int64_t n, const float *cohort, int64_t n_cohort,
                                   int64_t dim, int64_t top)
{
    CohortStatistics s = {.mean = mem_alloc((size_t)n, sizeof(double)),
                          .deviation = mem_alloc((size_t)n, sizeof(double))};
    float *scores = mem_alloc((size_t)BLOCK_ROWS * (size_t)n_cohort, sizeof(float));
    bool adaptive = top > 0 && top < n_cohort;
    for (int64_t first = 0; first < n; first += BLOCK_ROWS) {
        int64_t count = n - first < BLOCK_ROWS ? n - first : BLOCK_ROWS;
        gemm(false, true, count, n_cohort, dim, 1, rows + first * dim, dim, cohort, dim, 0, scores, n_cohort);
#pragma omp parallel for schedule(dynamic, 4)
        for (int64_t r = 0; r < count; r++) {
            float *row = scores + r * n_cohort;
            if (adaptive)
                qsort(row, (size_t)n_cohort, sizeof *row, descending);
            moments(row, adaptive ? top : n_cohort, &s.mean[first + r], &s.deviation[first + r]);
        }
    }
    mem_free(scores);
    lend_deviations(&s, n);
    return s;
}

void cohort_statistics_release(CohortStatistics *statistics)
{
    mem_free(statistics->mean);
    mem_free(statistics->deviation);
    *statistics = (CohortStatistics){0};
}

void score_normalise(const Trials *trials, const CohortStatistics *s, double *scores)
{
    for (int64_t t = 0; t < trials->n; t++) {
        int64_t e = trials->trials[t].enroll, u = trials->trials[t].test;
        scores[t] =
            0.5 * ((scores[t] - s->mean[e]) / s->deviation[e] + (scores[t] - s->mean[u]) / s->deviation[u]);
    }
}

float *class_means(const float *rows, const int64_t *labels, int64_t n, int64_t dim, int64_t n_classes)
{
    double *sums = mem_zero((size_t)(n_classes * dim), sizeof(double));
    float *means = mem_zero((size_t)(n_classes * dim), sizeof(float));
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < dim; d++)
            sums[labels[i] * dim + d] += rows[i * dim + d];
    for (int64_t c = 0; c < n_classes; c++) {
        double squares = 0;
        for (int64_t d = 0; d < dim; d++)
            squares += sums[c * dim + d] * sums[c * dim + d];
        for (int64_t d = 0; d < dim && squares > SMALLEST_DEVIATION * SMALLEST_DEVIATION; d++)
            means[c * dim + d] = (float)(sums[c * dim + d] / sqrt(squares));
    }
    mem_free(sums);
    return means;
}
