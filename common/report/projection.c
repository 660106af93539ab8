#include "report/projection.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"

// Letters: n rows of the sample, d dimensions.

// Selection sampling (Knuth, The Art of Computer Programming, vol. 2, algorithm 3.4.2 S): rising indices.
static void choose_rows(int64_t n_all, int64_t n, int64_t *rows)
{
    Rng rng = rng_stream(1, "report.projection", (uint64_t)n_all, (uint64_t)n);
    for (int64_t i = 0, chosen = 0; chosen < n; i++) {
        if (rng_below(&rng, (uint64_t)(n_all - i)) < (uint64_t)(n - chosen))
            rows[chosen++] = i;
    }
}

// sample[i] = unit(matrix[rows[i]]) - mean; rows of zeros stay zero before the mean is taken.
static void sample_fill(const float *matrix, const int64_t *rows, int64_t n, int64_t d, double *sample)
{
    double *mean = mem_zero((size_t)d, sizeof *mean); // [d]
    for (int64_t i = 0; i < n; i++) {
        const float *row = matrix + rows[i] * d;
        double energy = 0;
        for (int64_t j = 0; j < d; j++)
            energy += (double)row[j] * (double)row[j];
        double scale = energy > 0 ? 1 / sqrt(energy) : 0;
        for (int64_t j = 0; j < d; j++) {
            sample[i * d + j] = scale * (double)row[j];
            mean[j] += sample[i * d + j] / (double)n;
        }
    }
    for (int64_t i = 0; i < n * d; i++)
        sample[i] -= mean[i % d];
    mem_free(mean);
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

// places = sample v.
static void project(const double *sample, int64_t n, int64_t d, const double *v, double *places)
{
    for (int64_t i = 0; i < n; i++)
        places[i] = dot(sample + i * d, v, d);
}

// v becomes the unit vector along sample' (sample v); false when that is zero.
static bool power_step(const double *sample, int64_t n, int64_t d, double *v, double *places)
{
    project(sample, n, d, v, places);
    memset(v, 0, (size_t)d * sizeof *v);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < d; j++)
            v[j] += places[i] * sample[i * d + j];
    }
    double length = sqrt(dot(v, v, d));
    for (int64_t j = 0; j < d && length > 0; j++)
        v[j] /= length;
    return length > 0;
}

// The direction of most variance and the places along it. The sign is free; the largest entry is made
// positive.
static void principal_component(const double *sample, int64_t n, int64_t d, double *v, double *places)
{
    enum { MOST_STEPS = 300 };
    double *before = mem_zero((size_t)d, sizeof *before); // [d]
    Rng rng = rng_stream(1, "report.projection.start", 0, 0);
    for (int64_t j = 0; j < d; j++)
        v[j] = rng_normal(&rng);
    bool moving = power_step(sample, n, d, v, places);
    for (int step = 1; step < MOST_STEPS && moving; step++) {
        memcpy(before, v, (size_t)d * sizeof *v);
        moving = power_step(sample, n, d, v, places) && dot(v, before, d) < 1 - 1e-12;
    }
    int64_t largest = 0;
    for (int64_t j = 1; j < d; j++)
        largest = fabs(v[j]) > fabs(v[largest]) ? j : largest;
    double sign = v[largest] < 0 ? -1 : 1;
    for (int64_t j = 0; j < d; j++)
        v[j] *= sign;
    project(sample, n, d, v, places);
    mem_free(before);
}

// sample -= places v'.
static void deflate(double *sample, int64_t n, int64_t d, const double *v, const double *places)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < d; j++)
            sample[i * d + j] -= places[i] * v[j];
    }
}

void projection_compute(const float *matrix, int64_t n_all, int64_t dim, int64_t most, Projection *projection)
{
    int64_t n = n_all < most ? n_all : most;
    *projection = (Projection){.n = n};
    projection->rows = mem_alloc((size_t)n, sizeof *projection->rows);
    projection->x = mem_alloc((size_t)n, sizeof *projection->x);
    projection->y = mem_alloc((size_t)n, sizeof *projection->y);
    double *sample = mem_alloc((size_t)n * (size_t)dim, sizeof *sample); // [n, dim]
    double *v = mem_alloc((size_t)dim, sizeof *v);                       // [dim]
    choose_rows(n_all, n, projection->rows);
    sample_fill(matrix, projection->rows, n, dim, sample);
    double total = dot(sample, sample, n * dim);
    principal_component(sample, n, dim, v, projection->x);
    deflate(sample, n, dim, v, projection->x);
    principal_component(sample, n, dim, v, projection->y);
    projection->share_x = total > 0 ? dot(projection->x, projection->x, n) / total : 0;
    projection->share_y = total > 0 ? dot(projection->y, projection->y, n) / total : 0;
    mem_free(v);
    mem_free(sample);
}

void projection_release(Projection *projection)
{
    mem_free(projection->rows);
    mem_free(projection->x);
    mem_free(projection->y);
    *projection = (Projection){0};
}
