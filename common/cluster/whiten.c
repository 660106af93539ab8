#include "cluster/whiten.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"

// LAPACK (in OpenBLAS): eigenvalues, ascending, and eigenvectors of a symmetric matrix.
void dsyev_(const char *job, const char *triangle, const int *n, double *a, const int *lda,
            double *eigenvalues, double *work, const int *n_work, int *info);

static const double SMALLEST_VARIANCE = 1e-6; // of the largest
// Of the rows' mean squared length. Numbers rounded to float vary by less than 1e-14 of it in any direction.
static const double ROUNDING_VARIANCE = 1e-12;

static void column_means(const float *rows, int64_t n, int64_t dim, double *mean)
{
    for (int64_t d = 0; d < dim; d++)
        mean[d] = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < dim; d++)
            mean[d] += rows[i * dim + d];
    for (int64_t d = 0; d < dim; d++)
        mean[d] /= (double)n;
}

// covariance [dim, dim]; each thread owns rows of it, so the sums do not depend on how the work is shared.
static void covariance_matrix(const float *rows, int64_t n, int64_t dim, const double *mean,
                              double *covariance)
{
#pragma omp parallel for schedule(static)
    for (int64_t a = 0; a < dim; a++) {
        double *sums = covariance + a * dim;
        for (int64_t b = 0; b < dim; b++)
            sums[b] = 0;
        for (int64_t i = 0; i < n; i++) {
            double x = rows[i * dim + a] - mean[a];
            for (int64_t b = 0; b < dim; b++)
                sums[b] += x * (rows[i * dim + b] - mean[b]);
        }
        for (int64_t b = 0; b < dim; b++)
            sums[b] /= (double)(n - 1);
    }
}

static int decompose(double *matrix, int64_t dim, double *eigenvalues, Error *error)
{
    int n = (int)dim, n_work = 34 * n, info = 0; // LAPACK's advice: (block size + 2) n
    double *work = mem_alloc((size_t)n_work, sizeof *work);
    dsyev_("V", "U", &n, matrix, &n, eigenvalues, work, &n_work, &info);
    mem_free(work);
    return info == 0
               ? 0
               : error_set(error, "whitening: the covariance matrix has no eigenvalues (LAPACK %d)", info);
}

static double mean_squared_length(const float *rows, int64_t n, int64_t dim)
{
    double sum = 0;
    for (int64_t i = 0; i < n * dim; i++)
        sum += (double)rows[i] * rows[i];
    return sum / (double)n;
}

// y_k = <x - mean, v_k> / sqrt(lambda_k)
void whitening_apply(const Whitening *w, const float *rows, int64_t n, float *whitened)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < w->kept; k++) {
            const double *vector = w->vectors + k * w->dim;
            double sum = 0;
            for (int64_t d = 0; d < w->dim; d++)
                sum += (rows[i * w->dim + d] - w->mean[d]) * vector[d];
            whitened[i * w->kept + k] = (float)(sum / w->deviations[k]);
        }
}

// How many of the eigenvalues [dim], ascending, are worth a direction.
static int64_t count_kept(const double *eigenvalues, const float *rows, int64_t n, int64_t dim, int64_t keep)
{
    int64_t most = keep < dim ? keep : dim, kept = 0;
    most = most < n - 1 ? most : n - 1;
    double least =
        fmax(SMALLEST_VARIANCE * eigenvalues[dim - 1], ROUNDING_VARIANCE * mean_squared_length(rows, n, dim));
    while (kept < most && eigenvalues[dim - 1 - kept] > least)
        kept++;
    return kept;
}

int whitening_fit(const float *rows, int64_t n, int64_t dim, int64_t keep, Whitening *w, Error *error)
{
    if (n < 3 || dim < 1 || keep < 1)
        return error_set(error, "whitening needs at least 3 embeddings, there are %" PRId64, n);
    double *mean = mem_alloc((size_t)dim, sizeof *mean),
           *eigenvalues = mem_alloc((size_t)dim, sizeof *eigenvalues),
           *matrix = mem_alloc((size_t)(dim * dim), sizeof *matrix);
    column_means(rows, n, dim, mean);
    covariance_matrix(rows, n, dim, mean, matrix);
    int status = decompose(matrix, dim, eigenvalues, error);
    int64_t kept = status == 0 ? count_kept(eigenvalues, rows, n, dim, keep) : 0;
    if (status == 0 && kept == 0)
        status = error_set(error, "whitening: all embeddings are the same; is the model trained?");
    if (status == 0) {
        *w = (Whitening){.dim = dim,
                         .kept = kept,
                         .mean = mean,
                         .vectors = mem_alloc((size_t)(kept * dim), sizeof(double)),
                         .deviations = mem_alloc((size_t)kept, sizeof(double))};
        for (int64_t k = 0; k < kept; k++) {
            w->deviations[k] = sqrt(eigenvalues[dim - 1 - k]);
            memcpy(w->vectors + k * dim, matrix + (dim - 1 - k) * dim, (size_t)dim * sizeof(double));
        }
        mean = NULL;
    }
    mem_free(matrix);
    mem_free(eigenvalues);
    mem_free(mean);
    return status;
}

void whitening_release(Whitening *w)
{
    mem_free(w->mean);
    mem_free(w->vectors);
    mem_free(w->deviations);
    *w = (Whitening){0};
}
