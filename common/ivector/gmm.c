// N Gaussians, D dimensions, Q of the expanded frame.
#include "ivector/gmm.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "tensor/cholesky.h"
#include "tensor/gemm.h"

enum { BLOCK = 2048 };                       // frames at a time
static const float LEAST_POSTERIOR = 1e-12f; // products with denormal numbers take many times as long
static const double LEAST_OCCUPATION = 1e-3; // below it a Gaussian's mean stays where it is

void gmm_begin(Gmm *gmm, const float *frames, int64_t n_frames, Rng *rng)
{
    int64_t n = gmm->n, dim = gmm->dim;
    int64_t *order = mem_alloc((size_t)n_frames, sizeof(int64_t));
    for (int64_t t = 0; t < n_frames; t++)
        order[t] = t;
    rng_shuffle(rng, order, n_frames);
    memset(gmm->covariances, 0, (size_t)(n * dim * dim) * sizeof(float));
    for (int64_t c = 0; c < n; c++) {
        gmm->weights[c] = 1 / (float)n;
        memcpy(gmm->means + c * dim, frames + order[c] * dim, (size_t)dim * sizeof(float));
        for (int64_t d = 0; d < dim; d++)
            gmm->covariances[(c * dim + d) * dim + d] = 1;
    }
    mem_free(order);
}

// --- likelihoods

int64_t gmm_expanded_dim(int64_t dim, bool full)
{
    return 1 + dim + (full ? dim * (dim + 1) / 2 : dim);
}

static void expand(const float *frames, int64_t n_frames, int64_t dim, bool full, float *expanded)
{
    int64_t size = gmm_expanded_dim(dim, full);
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < n_frames; t++) {
        const float *x = frames + t * dim;
        float *q = expanded + t * size;
        *q++ = 1;
        memcpy(q, x, (size_t)dim * sizeof(float));
        q += dim;
        for (int64_t i = 0; i < dim; i++)
            for (int64_t j = full ? 0 : i; j <= i; j++)
                *q++ = x[i] * x[j];
    }
}

// log w + log N(x; m, S) = log w - D/2 log 2 pi - 1/2 log|S| - 1/2 m'Pm + (Pm)'x - 1/2 x'Px, with P the
// inverse of S.
static int scorer_row(const Gmm *gmm, int64_t c, double *precision, float *row)
{
    int64_t dim = gmm->dim;
    const float *mean = gmm->means + c * dim;
    double log_determinant, square = 0;
    for (int64_t i = 0; i < dim * dim; i++)
        precision[i] = gmm->covariances[c * dim * dim + i];
    if (cholesky_factor(precision, dim, &log_determinant) < 0)
        return -1;
    cholesky_invert(precision, dim);
    float *linear = row + 1, *products = row + 1 + dim;
    for (int64_t i = 0; i < dim; i++) {
        double sum = 0;
        for (int64_t j = 0; j < dim; j++)
            sum += precision[i * dim + j] * mean[j];
        linear[i] = (float)sum;
        square += sum * mean[i];
        for (int64_t j = gmm->full ? 0 : i; j <= i; j++)
            *products++ = (float)(precision[i * dim + j] * (i == j ? -0.5 : -1));
    }
    row[0] = (float)(log(fmax(gmm->weights[c], 1e-30)) -
                     0.5 * ((double)dim * log(2 * M_PI) + log_determinant + square));
    return 0;
}

int gmm_scorer_create(const Gmm *gmm, GmmScorer *scorer, Error *error)
{
    int64_t dim = gmm->dim, size = gmm_expanded_dim(dim, gmm->full), bad = -1;
    *scorer = (GmmScorer){.n = gmm->n, .dim = dim, .expanded_dim = size, .full = gmm->full};
    scorer->rows = mem_try_alloc((size_t)gmm->n, (size_t)size * sizeof(float), "the Gaussians", error);
    if (!scorer->rows)
        return -1;
#pragma omp parallel for schedule(dynamic) reduction(max : bad)
    for (int64_t c = 0; c < gmm->n; c++) {
        double *precision = mem_alloc((size_t)(dim * dim), sizeof(double));
        if (scorer_row(gmm, c, precision, scorer->rows + c * size) < 0)
            bad = c;
        mem_free(precision);
    }
    if (bad < 0)
        return 0;
    gmm_scorer_release(scorer);
    return error_set(error, "the covariance of Gaussian %lld is not positive definite; use fewer Gaussians",
                     (long long)bad);
}

void gmm_scorer_release(GmmScorer *scorer)
{
    mem_free(scorer->rows);
    *scorer = (GmmScorer){0};
}

// Log-likelihoods [n] become posteriors; returns the log of their sum.
static double softmax_row(float *row, int64_t n)
{
    float largest = row[0];
    double sum = 0;
    for (int64_t c = 1; c < n; c++)
        largest = fmaxf(largest, row[c]);
    for (int64_t c = 0; c < n; c++) {
        row[c] = expf(row[c] - largest);
        sum += row[c];
    }
    for (int64_t c = 0; c < n; c++) {
        row[c] = (float)(row[c] / sum);
        row[c] = row[c] < LEAST_POSTERIOR ? 0 : row[c];
    }
    return largest + log(sum);
}

// Zeroes all that is less than the `top`-th largest of the row and makes the sum 1.
static void keep_top(float *row, int64_t n, int64_t top)
{
    float largest[GMM_MAX_TOP]; // so far, descending
    int64_t n_kept = 0;
    for (int64_t c = 0; c < n; c++) {
        if (n_kept == top && row[c] <= largest[top - 1])
            continue;
        int64_t at = n_kept < top ? n_kept++ : top - 1;
        for (; at > 0 && largest[at - 1] < row[c]; at--)
            largest[at] = largest[at - 1];
        largest[at] = row[c];
    }
    double sum = 0;
    for (int64_t c = 0; c < n; c++) {
        row[c] = row[c] < largest[top - 1] ? 0 : row[c];
        sum += row[c];
    }
    for (int64_t c = 0; c < n; c++)
        row[c] = (float)(row[c] / sum);
}

double gmm_posteriors(const GmmScorer *scorer, const float *frames, int64_t n_frames, int64_t top,
                      float *posteriors, float *expanded)
{
    int64_t n = scorer->n, size = scorer->expanded_dim;
    float *own = expanded ? NULL : mem_alloc((size_t)(BLOCK * size), sizeof(float));
    double total = 0;
    for (int64_t start = 0; start < n_frames; start += BLOCK) {
        int64_t count = n_frames - start < BLOCK ? n_frames - start : BLOCK;
        float *q = own ? own : expanded + start * size, *block = posteriors + start * n;
        expand(frames + start * scorer->dim, count, scorer->dim, scorer->full, q);
        gemm(false, true, count, n, size, 1, q, size, scorer->rows, size, 0, block, n);
        double *sums = mem_alloc((size_t)count, sizeof(double)); // added in order below
#pragma omp parallel for schedule(static)
        for (int64_t t = 0; t < count; t++) {
            sums[t] = softmax_row(block + t * n, n);
            if (top > 0 && top < n)
                keep_top(block + t * n, n, top);
        }
        for (int64_t t = 0; t < count; t++)
            total += sums[t];
        mem_free(sums);
    }
    mem_free(own);
    return total;
}

// --- maximisation

// Gaussian c from its statistics [Q]: occupation, sum, sum of products.
static void maximise(Gmm *gmm, int64_t c, const double *statistics, double n_frames, double prior)
{
    int64_t dim = gmm->dim;
    float *mean = gmm->means + c * dim, *covariance = gmm->covariances + c * dim * dim;
    double occupation = statistics[0], weight = occupation + prior;
    const double *sum = statistics + 1, *products = statistics + 1 + dim;
    gmm->weights[c] = (float)(occupation / n_frames);
    if (occupation < LEAST_OCCUPATION)
        return;
    for (int64_t i = 0; i < dim; i++)
        mean[i] = (float)(sum[i] / occupation);
    for (int64_t i = 0; i < dim; i++)
        for (int64_t j = gmm->full ? 0 : i; j <= i; j++) {
            // The scatter about the mean as it is stored.
            double scatter =
                *products++ - sum[i] * mean[j] - sum[j] * mean[i] + occupation * mean[i] * mean[j];
            double value = (scatter + (i == j ? prior * GMM_PRIOR_VARIANCE : 0)) / weight;
            covariance[i * dim + j] = covariance[j * dim + i] = (float)value;
        }
}

int gmm_iterate(Gmm *gmm, const float *frames, int64_t n_frames, double prior, double *log_likelihood,
                Error *error)
{
    GmmScorer scorer;
    if (gmm_scorer_create(gmm, &scorer, error) < 0)
        return -1;
    int64_t n = gmm->n, size = scorer.expanded_dim;
    float *posteriors = mem_alloc((size_t)(BLOCK * n), sizeof(float));
    float *expanded = mem_alloc((size_t)(BLOCK * size), sizeof(float));
    float *block = mem_alloc((size_t)(n * size), sizeof(float));
    double *statistics = mem_zero((size_t)(n * size), sizeof(double)), total = 0;
    for (int64_t start = 0; start < n_frames; start += BLOCK) {
        int64_t count = n_frames - start < BLOCK ? n_frames - start : BLOCK;
        total += gmm_posteriors(&scorer, frames + start * gmm->dim, count, 0, posteriors, expanded);
        gemm(true, false, n, size, count, 1, posteriors, n, expanded, size, 0, block, size);
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < n * size; i++)
            statistics[i] += block[i];
    }
    for (int64_t c = 0; c < n; c++)
        maximise(gmm, c, statistics + c * size, (double)n_frames, prior);
    *log_likelihood = total / (double)n_frames;
    mem_free(statistics);
    mem_free(block);
    mem_free(expanded);
    mem_free(posteriors);
    gmm_scorer_release(&scorer);
    return 0;
}

double gmm_log_prior(const Gmm *gmm, int64_t n_frames, double prior)
{
    int64_t dim = gmm->dim;
    double *a = mem_alloc((size_t)(dim * dim), sizeof(double)), total = 0;
    for (int64_t c = 0; c < gmm->n; c++) {
        double log_determinant = 0;
        for (int64_t i = 0; i < dim * dim; i++)
            a[i] = gmm->covariances[c * dim * dim + i];
        cholesky_factor(a, dim, &log_determinant);
        cholesky_invert(a, dim);
        total -= 0.5 * prior * log_determinant;
        for (int64_t i = 0; i < dim; i++)
            total -= 0.5 * prior * GMM_PRIOR_VARIANCE * a[i * dim + i];
    }
    mem_free(a);
    return total / (double)n_frames;
}
