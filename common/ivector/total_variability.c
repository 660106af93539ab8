// C Gaussians, D dimensions of a frame, R of an i-vector, B utterances of a batch; symmetric [R, R] matrices
// travel as their R (R + 1) / 2 lower elements, row by row ("packed", P of them).
#include "ivector/total_variability.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "tensor/cholesky.h"
#include "tensor/gemm.h"

static const double FIRST_DEVIATION = 0.1;   // of T's elements, in standard deviations of the frames
static const double LEAST_OCCUPATION = 1e-3; // of a Gaussian whose T is estimated anew

struct TvScorer {
    int64_t n, dim, rank;
    float *project; // [C * D, R + 1] S_c^-1 T_c, and S_c^-1 m_c in the last column
    float *offset;  // [C, R + 1] m_c' S_c^-1 T_c, and m_c' S_c^-1 m_c
    float *packed;  // [C, P] T_c' S_c^-1 T_c
};

struct TvSums {
    int64_t n, dim, rank, n_utts;
    double *packed;        // [C, P] sum of N_uc E[w w']
    double *products;      // [C * D, R] sum of F_uc w'
    double *occupied;      // [C, R] sum of N_uc w'
    double *occupation;    // [C] sum of N_uc
    double *mean, *square; // [R], [R, R] sums of w and E[w w']
    double log_likelihood;
};

static int64_t packed_size(int64_t rank)
{
    return rank * (rank + 1) / 2;
}

void tv_begin(TotalVariability *tv, const Gmm *ubm, Rng *rng)
{
    int64_t dim = tv->dim;
    memcpy(tv->means, ubm->means, (size_t)(tv->n * dim) * sizeof(float));
    for (int64_t i = 0; i < tv->n * dim; i++) {
        int64_t c = i / dim, d = i % dim;
        double deviation = FIRST_DEVIATION * sqrt(ubm->covariances[(c * dim + d) * dim + d]);
        for (int64_t r = 0; r < tv->rank; r++)
            tv->matrix[i * tv->rank + r] = (float)(deviation * rng_normal(rng));
    }
}

// --- the scorer

// Fills Gaussian c's rows. sides [R + 1, D]: T_c' and m_c', then S_c^-1 times them.
static int fill_scorer(TvScorer *s, const TotalVariability *tv, const Gmm *ubm, int64_t c, double *factor,
                       double *sides)
{
    int64_t dim = s->dim, rank = s->rank, cols = rank + 1;
    const float *matrix = tv->matrix + c * dim * rank, *mean = tv->means + c * dim;
    for (int64_t i = 0; i < dim * dim; i++)
        factor[i] = ubm->covariances[c * dim * dim + i];
    if (cholesky_factor(factor, dim, NULL) < 0)
        return -1;
    for (int64_t d = 0; d < dim; d++) {
        for (int64_t r = 0; r < rank; r++)
            sides[r * dim + d] = matrix[d * rank + r];
        sides[rank * dim + d] = mean[d];
    }
    cholesky_solve(factor, dim, sides, cols);
    float *packed = s->packed + c * packed_size(rank);
    for (int64_t r = 0; r < cols; r++) {
        double at_mean = 0;
        for (int64_t d = 0; d < dim; d++) {
            s->project[(c * dim + d) * cols + r] = (float)sides[r * dim + d];
            at_mean += sides[r * dim + d] * mean[d];
        }
        s->offset[c * cols + r] = (float)at_mean;
        for (int64_t q = 0; r < rank && q <= r; q++) {
            double sum = 0;
            for (int64_t d = 0; d < dim; d++)
                sum += sides[r * dim + d] * matrix[d * rank + q];
            *packed++ = (float)sum;
        }
    }
    return 0;
}

TvScorer *tv_scorer_create(const TotalVariability *tv, const Gmm *ubm, Error *error)
{
    int64_t n = tv->n, dim = tv->dim, cols = tv->rank + 1, bad = -1;
    TvScorer *s = mem_zero(1, sizeof *s);
    *s = (TvScorer){.n = n, .dim = dim, .rank = tv->rank};
    s->project =
        mem_try_alloc((size_t)(n * dim), (size_t)cols * sizeof(float), "the i-vector extractor", error);
    s->offset = mem_alloc((size_t)n, (size_t)cols * sizeof(float));
    s->packed = mem_try_alloc((size_t)n, (size_t)packed_size(tv->rank) * sizeof(float),
                              "the i-vector extractor", error);
    if (!s->project || !s->packed) {
        tv_scorer_destroy(s);
        return NULL;
    }
#pragma omp parallel for schedule(dynamic) reduction(max : bad)
    for (int64_t c = 0; c < n; c++) {
        double *factor = mem_alloc((size_t)(dim * dim + cols * dim), sizeof(double));
        if (fill_scorer(s, tv, ubm, c, factor, factor + dim * dim) < 0)
            bad = c;
        mem_free(factor);
    }
    if (bad < 0)
        return s;
    tv_scorer_destroy(s);
    error_set(error, "the covariance of Gaussian %lld is singular", (long long)bad);
    return NULL;
}

void tv_scorer_destroy(TvScorer *s)
{
    if (!s)
        return;
    mem_free(s->project);
    mem_free(s->offset);
    mem_free(s->packed);
    mem_free(s);
}

typedef struct Posterior { // of a batch
    float *linear;         // [B, R + 1] b, and a constant
    float *precision;      // [B, P] L without the I
} Posterior;

// linear's last column becomes the constant part of the log-likelihood: sum_c m' S^-1 F_c - N_c m' S^-1 m
// / 2.
static Posterior posterior_begin(const TvScorer *s, const float *occupation, const float *sums, int64_t batch)
{
    int64_t cols = s->rank + 1, size = packed_size(s->rank), n = s->n, length = n * s->dim;
    Posterior p = {mem_alloc((size_t)(batch * cols), sizeof(float)),
                   mem_alloc((size_t)(batch * size), sizeof(float))};
    float *offset = mem_alloc((size_t)(batch * cols), sizeof(float));
    gemm(false, false, batch, cols, length, 1, sums, length, s->project, cols, 0, p.linear, cols);
    gemm(false, false, batch, cols, n, 1, occupation, n, s->offset, cols, 0, offset, cols);
    gemm(false, false, batch, size, n, 1, occupation, n, s->packed, size, 0, p.precision, size);
    for (int64_t b = 0; b < batch; b++)
        for (int64_t r = 0; r < cols; r++)
            p.linear[b * cols + r] -= offset[b * cols + r] * (r < s->rank ? 1 : 0.5f);
    mem_free(offset);
    return p;
}

static void posterior_release(Posterior *p)
{
    mem_free(p->linear);
    mem_free(p->precision);
}

// ivector [R] = L^-1 b; inverse [R, R] = L^-1 unless NULL. Returns b' L^-1 b / 2 - log |L| / 2. `factor` [R,
// R] is scratch.
static double solve(const float *linear, const float *precision, int64_t rank, double *factor,
                    double *ivector, double *inverse)
{
    double log_determinant = 0, along = 0;
    for (int64_t r = 0; r < rank; r++) {
        for (int64_t q = 0; q <= r; q++)
            factor[r * rank + q] = factor[q * rank + r] = *precision++ + (r == q);
        ivector[r] = linear[r];
    }
    cholesky_factor(factor, rank, &log_determinant); // I + a sum of squares: positive definite
    cholesky_solve(factor, rank, ivector, 1);
    for (int64_t r = 0; r < rank; r++)
        along += ivector[r] * linear[r];
    if (inverse) {
        memcpy(inverse, factor, (size_t)(rank * rank) * sizeof(double));
        cholesky_invert(inverse, rank);
    }
    return (along - log_determinant) / 2;
}

void tv_extract(const TvScorer *s, const float *occupation, const float *sums, int64_t batch, float *ivectors)
{
    int64_t rank = s->rank;
    Posterior p = posterior_begin(s, occupation, sums, batch);
#pragma omp parallel for schedule(dynamic)
    for (int64_t b = 0; b < batch; b++) {
        double *factor = mem_alloc((size_t)(rank * (rank + 1)), sizeof(double)),
               *ivector = factor + rank * rank;
        solve(p.linear + b * (rank + 1), p.precision + b * packed_size(rank), rank, factor, ivector, NULL);
        for (int64_t r = 0; r < rank; r++)
            ivectors[b * rank + r] = (float)ivector[r];
        mem_free(factor);
    }
    posterior_release(&p);
}

// --- expectation

TvSums *tv_sums_create(const TotalVariability *tv, Error *error)
{
    int64_t n = tv->n, rank = tv->rank, size = packed_size(rank);
    size_t count = (size_t)(n * size + n * tv->dim * rank + n * rank + n + rank + rank * rank);
    TvSums *sums = mem_zero(1, sizeof *sums);
    *sums = (TvSums){.n = n, .dim = tv->dim, .rank = rank};
    if (!(sums->packed = mem_try_alloc(count, sizeof(double), "the sums of an iteration", error))) {
        mem_free(sums);
        return NULL;
    }
    memset(sums->packed, 0, count * sizeof(double));
    sums->products = sums->packed + n * size;
    sums->occupied = sums->products + n * tv->dim * rank;
    sums->occupation = sums->occupied + n * rank;
    sums->mean = sums->occupation + n;
    sums->square = sums->mean + rank;
    return sums;
}

void tv_sums_destroy(TvSums *sums)
{
    if (!sums)
        return;
    mem_free(sums->packed);
    mem_free(sums);
}

// total [rows, cols] += a' b; a [batch, rows], b [batch, cols]. In blocks of rows, so that the float product
// stays small beside the total.
static void add_product(const float *a, int64_t rows, const float *b, int64_t cols, int64_t batch,
                        double *total)
{
    int64_t block = 4096;
    float *product = mem_alloc((size_t)((rows < block ? rows : block) * cols), sizeof(float));
    for (int64_t start = 0; start < rows; start += block) {
        int64_t count = rows - start < block ? rows - start : block;
        gemm(true, false, count, cols, batch, 1, a + start, rows, b, cols, 0, product, cols);
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < count * cols; i++)
            total[start * cols + i] += product[i];
    }
    mem_free(product);
}

// E[w w'] of the batch, packed [B, P], and w [B, R]; log_likelihoods [B].
static void expect(const TvScorer *s, const Posterior *p, int64_t batch, float *squares, float *ivectors,
                   double *log_likelihoods)
{
    int64_t rank = s->rank, size = packed_size(rank);
#pragma omp parallel for schedule(dynamic)
    for (int64_t b = 0; b < batch; b++) {
        double *factor = mem_alloc((size_t)(2 * rank * rank + rank), sizeof(double));
        double *inverse = factor + rank * rank, *w = inverse + rank * rank;
        const float *linear = p->linear + b * (rank + 1);
        log_likelihoods[b] = linear[rank] + solve(linear, p->precision + b * size, rank, factor, w, inverse);
        float *square = squares + b * size;
        for (int64_t r = 0; r < rank; r++) {
            ivectors[b * rank + r] = (float)w[r];
            for (int64_t q = 0; q <= r; q++)
                *square++ = (float)(inverse[r * rank + q] + w[r] * w[q]);
        }
        mem_free(factor);
    }
}

void tv_gather(TvSums *sums, const TvScorer *s, const float *occupation, const float *sums_of_frames,
               int64_t batch)
{
    int64_t rank = s->rank, size = packed_size(rank), n = s->n;
    Posterior p = posterior_begin(s, occupation, sums_of_frames, batch);
    float *squares = mem_alloc((size_t)(batch * size), sizeof(float));
    float *ivectors = mem_alloc((size_t)(batch * rank), sizeof(float));
    double *log_likelihoods = mem_alloc((size_t)batch, sizeof(double));
    expect(s, &p, batch, squares, ivectors, log_likelihoods);
    add_product(occupation, n, squares, size, batch, sums->packed);
    add_product(sums_of_frames, n * s->dim, ivectors, rank, batch, sums->products);
    add_product(occupation, n, ivectors, rank, batch, sums->occupied);
    for (int64_t b = 0; b < batch; b++) {
        sums->log_likelihood += log_likelihoods[b];
        for (int64_t c = 0; c < n; c++)
            sums->occupation[c] += occupation[b * n + c];
        const float *square = squares + b * size;
        for (int64_t r = 0; r < rank; r++) {
            sums->mean[r] += ivectors[b * rank + r];
            for (int64_t q = 0; q <= r; q++)
                sums->square[r * rank + q] += *square++;
        }
    }
    sums->n_utts += batch;
    mem_free(log_likelihoods);
    mem_free(ivectors);
    mem_free(squares);
    posterior_release(&p);
}

double tv_log_likelihood(const TvSums *sums)
{
    return sums->log_likelihood / (double)sums->n_utts;
}

// --- maximisation

// T_c from the sums; `factor` [R, R] and `sides` [D, R] are scratch.
static int maximise(const TvSums *sums, TotalVariability *tv, int64_t c, double *factor, double *sides)
{
    int64_t dim = tv->dim, rank = tv->rank;
    const double *packed = sums->packed + c * packed_size(rank);
    if (sums->occupation[c] < LEAST_OCCUPATION)
        return 0;
    for (int64_t r = 0; r < rank; r++)
        for (int64_t q = 0; q <= r; q++)
            factor[r * rank + q] = factor[q * rank + r] = *packed++;
    if (cholesky_factor(factor, rank, NULL) < 0)
        return -1;
    for (int64_t d = 0; d < dim; d++)
        for (int64_t r = 0; r < rank; r++)
            sides[d * rank + r] = sums->products[(c * dim + d) * rank + r] -
                                  tv->means[c * dim + d] * sums->occupied[c * rank + r];
    cholesky_solve(factor, rank, sides, dim);
    for (int64_t i = 0; i < dim * rank; i++)
        tv->matrix[c * dim * rank + i] = (float)sides[i];
    return 0;
}

// Mean h [R] and K [R, R], lower, of the covariance K K' of w.
static int divergence(const TvSums *sums, double *h, double *k)
{
    int64_t rank = sums->rank;
    double n = (double)sums->n_utts;
    double *factor = mem_alloc((size_t)(rank * rank), sizeof(double));
    for (int64_t r = 0; r < rank; r++)
        h[r] = sums->mean[r] / n;
    for (int64_t r = 0; r < rank; r++)
        for (int64_t q = 0; q <= r; q++)
            factor[r * rank + q] = factor[q * rank + r] = sums->square[r * rank + q] / n - h[r] * h[q];
    int status = cholesky_factor(factor, rank, NULL);
    for (int64_t r = 0; r < rank; r++)
        for (int64_t q = 0; q < rank; q++)
            k[r * rank + q] = q <= r ? cholesky_at(factor, rank, r, q) : 0;
    mem_free(factor);
    return status;
}

// One row of T, [R], times K, and its share of h for the mean.
static double turn_row(float *row, const double *h, const double *k, int64_t rank, double *scratch)
{
    double shift = 0;
    for (int64_t q = 0; q < rank; q++)
        scratch[q] = 0;
    for (int64_t r = 0; r < rank; r++) {
        shift += row[r] * h[r];
        for (int64_t q = 0; q <= r; q++)
            scratch[q] += row[r] * k[r * rank + q];
    }
    for (int64_t q = 0; q < rank; q++)
        row[q] = (float)scratch[q];
    return shift;
}

int tv_maximise(const TvSums *sums, TotalVariability *tv, Error *error)
{
    int64_t n = tv->n, dim = tv->dim, rank = tv->rank, bad = -1;
#pragma omp parallel for schedule(dynamic) reduction(max : bad)
    for (int64_t c = 0; c < n; c++) {
        double *scratch = mem_alloc((size_t)((rank + dim) * rank), sizeof(double));
        if (maximise(sums, tv, c, scratch, scratch + rank * rank) < 0)
            bad = c;
        mem_free(scratch);
    }
    double *h = mem_alloc((size_t)(rank * (rank + 1)), sizeof(double)), *k = h + rank;
    int status = bad < 0 ? divergence(sums, h, k) : -1;
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < n; c++) {
        double *scratch = mem_alloc((size_t)rank, sizeof(double));
        for (int64_t i = c * dim; status == 0 && i < (c + 1) * dim; i++)
            tv->means[i] += (float)turn_row(tv->matrix + i * rank, h, k, rank, scratch);
        mem_free(scratch);
    }
    mem_free(h);
    if (status < 0)
        return error_set(error,
                         "the i-vector model has more dimensions than its utterances can tell apart; use a "
                         "smaller --ivector-dim or more audio");
    return 0;
}
