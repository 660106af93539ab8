// i-vectors against brute-force sums in double on a small case: posteriors, statistics, both M steps, the
// update of the total variability matrix; log-likelihoods that only rise; the pieces of the front end.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "audio/speech_frames.h"
#include "base/memory.h"
#include "gradcheck.h"
#include "ivector/statistics.h"
#include "ivector/total_variability.h"
#include "tensor/cholesky.h"

enum { C = 4, D = 3, R = 2, T = 400, UTTS = 24 };

typedef struct Mixture {
    Gmm gmm;
    float weights[C], means[C * D], covariances[C * D * D];
} Mixture;

static void mixture_begin(Mixture *m, bool full)
{
    m->gmm = (Gmm){C, D, full, m->weights, m->means, m->covariances};
}

// Frames of three overlapping clouds that are not round.
static void draw_frames(uint64_t draw, int64_t n, float *frames)
{
    Rng rng = rng_stream(test_seed(), "frames", draw, 0);
    for (int64_t t = 0; t < n; t++) {
        int64_t cloud = (int64_t)rng_below(&rng, 3);
        float shared = 0.6f * (float)rng_normal(&rng);
        for (int d = 0; d < D; d++)
            frames[t * D + d] = (float)(cloud - 1) * (d == 0 ? 1.5f : -0.7f) + shared * (float)(d + 1) +
                                0.5f * (float)rng_normal(&rng);
    }
}

static double log_gaussian(const Gmm *gmm, int c, const float *x)
{
    double a[D * D], y[D], log_determinant, square = 0;
    for (int i = 0; i < D * D; i++)
        a[i] = gmm->covariances[c * D * D + i];
    assert_int_equal(cholesky_factor(a, D, &log_determinant), 0);
    for (int d = 0; d < D; d++)
        y[d] = x[d] - gmm->means[c * D + d];
    cholesky_solve(a, D, y, 1);
    for (int d = 0; d < D; d++)
        square += y[d] * (x[d] - gmm->means[c * D + d]);
    return log(gmm->weights[c]) - 0.5 * (D * log(2 * M_PI) + log_determinant + square);
}

static double plain_posteriors(const Gmm *gmm, const float *x, double *posterior)
{
    double sum = 0;
    for (int c = 0; c < C; c++)
        sum += posterior[c] = exp(log_gaussian(gmm, c, x));
    for (int c = 0; c < C; c++)
        posterior[c] /= sum;
    return log(sum);
}

// A mixture after a few iterations.
static void train(Mixture *m, bool full, const float *frames)
{
    Rng rng = rng_stream(test_seed(), "mixture", full, 0);
    double log_likelihood;
    mixture_begin(m, full);
    gmm_begin(&m->gmm, frames, T, &rng);
    for (int i = 0; i < 3; i++)
        assert_int_equal(gmm_iterate(&m->gmm, frames, T, 0, &log_likelihood, NULL), 0);
}

static void check_m_step(bool full)
{
    float frames[T * D];
    Mixture before, after;
    draw_frames(full, T, frames);
    train(&before, full, frames);
    after = before;
    mixture_begin(&before, full);
    mixture_begin(&after, full);
    double log_likelihood, expected = 0, n[C] = {0}, sum[C * D] = {0}, square[C * D * D] = {0};
    assert_int_equal(gmm_iterate(&after.gmm, frames, T, 7, &log_likelihood, NULL), 0);
    for (int t = 0; t < T; t++) {
        double posterior[C];
        expected += plain_posteriors(&before.gmm, frames + t * D, posterior) / T;
        for (int c = 0; c < C; c++) {
            n[c] += posterior[c];
            for (int d = 0; d < D; d++)
                sum[c * D + d] += posterior[c] * frames[t * D + d];
        }
    }
    for (int t = 0; t < T; t++) {
        double posterior[C];
        plain_posteriors(&before.gmm, frames + t * D, posterior);
        for (int c = 0; c < C; c++)
            for (int i = 0; i < D; i++)
                for (int j = 0; j < D; j++)
                    square[(c * D + i) * D + j] += posterior[c] *
                                                   (frames[t * D + i] - sum[c * D + i] / n[c]) *
                                                   (frames[t * D + j] - sum[c * D + j] / n[c]);
    }
    assert_true(fabs(log_likelihood - expected) < 1e-4);
    for (int c = 0; c < C; c++) {
        assert_true(fabs(after.weights[c] - n[c] / T) < 1e-5);
        for (int i = 0; i < D; i++) {
            assert_true(fabs(after.means[c * D + i] - sum[c * D + i] / n[c]) < 1e-4);
            for (int j = 0; j < D; j++) {
                double prior = i == j ? 7 * GMM_PRIOR_VARIANCE : 0;
                double wanted = !full && i != j ? 0 : (square[(c * D + i) * D + j] + prior) / (n[c] + 7);
                assert_true(fabs(after.covariances[(c * D + i) * D + j] - wanted) < 1e-3);
            }
        }
    }
}

static void test_mixture(void **state)
{
    (void)state;
    check_m_step(false);
    check_m_step(true);
}

static void test_log_likelihood_rises(void **state)
{
    (void)state;
    float frames[T * D];
    for (int full = 0; full < 2; full++)
        for (int prior = 0; prior < 20; prior += 10) {
            Mixture m;
            Rng rng = rng_stream(test_seed(), "rising", (uint64_t)prior, (uint64_t)full);
            double last = -1e30, now;
            draw_frames(5, T, frames);
            mixture_begin(&m, full);
            gmm_begin(&m.gmm, frames, T, &rng);
            for (int i = 0; i < 30; i++) {
                double of_prior = gmm_log_prior(&m.gmm, T, prior);
                assert_int_equal(gmm_iterate(&m.gmm, frames, T, prior, &now, NULL), 0);
                if (now + of_prior < last - 1e-5)
                    fail_msg("full %d, prior %d, iteration %d: %.7f after %.7f", full, prior, i,
                             now + of_prior, last);
                last = now + of_prior;
            }
        }
}

enum { MANY = 40 };

// What rounding may change in a frame: Gaussians whose likelihood is about that of the last one that counts
// may count or not, and the others share what they take.
static void add_slack(const double p[MANY], const bool counts[MANY], double sum, double slack[MANY])
{
    double last = INFINITY, doubtful = 0;
    for (int c = 0; c < MANY; c++)
        last = counts[c] ? fmin(last, p[c]) : last;
    for (int c = 0; c < MANY; c++)
        doubtful += fabs(p[c] - last) < 1e-3 * last && p[c] != last ? p[c] / sum : 0;
    for (int c = 0; c < MANY && doubtful > 0; c++)
        slack[c] += fabs(p[c] - last) < 1e-3 * last ? p[c] / sum : p[c] / sum * doubtful;
}

// 20 of 40 Gaussians of a frame count for nothing; with narrow ones most likelihoods are 0 in float.
static void check_statistics(float variance)
{
    float frames[T * D], weights[MANY], means[MANY * D], covariances[MANY * D * D], n[MANY], sums[MANY * D];
    Rng rng = rng_stream(test_seed(), "statistics", 0, 0);
    Gmm gmm = {MANY, D, true, weights, means, covariances};
    GmmScorer scorer;
    draw_frames(9, T, frames);
    gmm_begin(&gmm, frames, T, &rng);
    for (int i = 0; i < MANY * D * D; i++)
        covariances[i] *= variance;
    assert_int_equal(gmm_scorer_create(&gmm, &scorer, NULL), 0);
    ivector_statistics(&scorer, frames, T, n, sums);
    double expected_n[MANY] = {0}, expected[MANY * D] = {0}, slack[MANY] = {0}, largest = 1;
    for (int t = 0; t < T; t++) {
        double p[MANY], sum = 0;
        for (int c = 0; c < MANY; c++)
            p[c] = exp(log_gaussian(&gmm, c, frames + t * D));
        bool counts[MANY];
        for (int c = 0; c < MANY; c++) {
            int n_larger = 0;
            for (int k = 0; k < MANY; k++)
                n_larger += p[k] > p[c];
            counts[c] = n_larger < IVECTOR_TOP;
            sum += counts[c] ? p[c] : 0;
        }
        add_slack(p, counts, sum, slack);
        for (int d = 0; d < D; d++)
            largest = fmax(largest, fabs(frames[t * D + d]));
        for (int c = 0; c < MANY; c++)
            for (int d = -1; counts[c] && d < D; d++)
                *(d < 0 ? &expected_n[c] : &expected[c * D + d]) +=
                    p[c] / sum * (d < 0 ? 1 : frames[t * D + d]);
    }
    for (int c = 0; c < MANY; c++) {
        double allowed = 2e-3 + slack[c];
        if (fabs(n[c] - expected_n[c]) > allowed)
            fail_msg("occupation of %d: %g, expected %g within %g", c, n[c], expected_n[c], allowed);
        for (int d = 0; d < D; d++)
            if (fabs(sums[c * D + d] - expected[c * D + d]) > allowed * largest)
                fail_msg("sum of %d: %g, expected %g", c, sums[c * D + d], expected[c * D + d]);
    }
    gmm_scorer_release(&scorer);
}

static void test_statistics(void **state)
{
    (void)state;
    check_statistics(1);
    check_statistics(0.02f);
}

// --- total variability

typedef struct Model {
    Mixture ubm;
    TotalVariability tv;
    float means[C * D], matrix[C * D * R];
    float n[UTTS * C], sums[UTTS * C * D];
} Model;

static void model_begin(Model *m, uint64_t draw)
{
    float frames[T * D];
    Rng rng = rng_stream(test_seed(), "model", draw, 0);
    draw_frames(draw, T, frames);
    train(&m->ubm, true, frames);
    m->tv = (TotalVariability){C, D, R, m->means, m->matrix};
    tv_begin(&m->tv, &m->ubm.gmm, &rng);
    GmmScorer scorer;
    assert_int_equal(gmm_scorer_create(&m->ubm.gmm, &scorer, NULL), 0);
    for (int u = 0; u < UTTS; u++) { // utterances that lie apart
        float shift[D], *own = frames;
        draw_frames(100 + (uint64_t)u, 50, own);
        for (int d = 0; d < D; d++)
            shift[d] = 0.5f * (float)rng_normal(&rng);
        for (int i = 0; i < 50 * D; i++)
            own[i] += shift[i % D];
        ivector_statistics(&scorer, own, 50, m->n + u * C, m->sums + u * C * D);
    }
    gmm_scorer_release(&scorer);
}

// S_c^-1 times a vector.
static void precise(const Model *m, int c, const double *x, double *y)
{
    double a[D * D];
    for (int i = 0; i < D * D; i++)
        a[i] = m->ubm.covariances[c * D * D + i];
    cholesky_factor(a, D, NULL);
    memcpy(y, x, D * sizeof(double));
    cholesky_solve(a, D, y, 1);
}

typedef struct Expected {
    double w[R], ww[R][R], log_likelihood;
} Expected;

// As the header has it, term by term.
static Expected plain_posterior(const Model *m, int u)
{
    double l[R][R] = {{1, 0}, {0, 1}}, b[R] = {0}, constant = 0;
    for (int c = 0; c < C; c++) {
        double n = m->n[u * C + c], column[R][D], turned[R][D], mean[D], of_mean[D];
        for (int d = 0; d < D; d++) {
            mean[d] = m->means[c * D + d];
            for (int r = 0; r < R; r++)
                column[r][d] = m->matrix[(c * D + d) * R + r];
        }
        precise(m, c, mean, of_mean);
        for (int r = 0; r < R; r++)
            precise(m, c, column[r], turned[r]);
        for (int d = 0; d < D; d++) {
            double f = m->sums[(u * C + c) * D + d];
            constant += of_mean[d] * (f - n * mean[d] / 2);
            for (int r = 0; r < R; r++) {
                b[r] += turned[r][d] * (f - n * mean[d]);
                for (int q = 0; q < R; q++)
                    l[r][q] += n * turned[r][d] * column[q][d];
            }
        }
    }
    double determinant = l[0][0] * l[1][1] - l[0][1] * l[1][0];
    double inverse[R][R] = {{l[1][1] / determinant, -l[0][1] / determinant},
                            {-l[1][0] / determinant, l[0][0] / determinant}};
    Expected e = {.log_likelihood = constant - log(determinant) / 2};
    for (int r = 0; r < R; r++)
        for (int q = 0; q < R; q++)
            e.w[r] += inverse[r][q] * b[q];
    for (int r = 0; r < R; r++) {
        e.log_likelihood += e.w[r] * b[r] / 2;
        for (int q = 0; q < R; q++)
            e.ww[r][q] = inverse[r][q] + e.w[r] * e.w[q];
    }
    return e;
}

// T_c before the minimum-divergence step, then m_c + T_c h and T_c K.
static void plain_update(const Model *m, double *means, double *matrix)
{
    double h[R] = {0}, p[R][R] = {{0}}, k[R][R] = {{0}};
    for (int u = 0; u < UTTS; u++) {
        Expected e = plain_posterior(m, u);
        for (int r = 0; r < R; r++) {
            h[r] += e.w[r] / UTTS;
            for (int q = 0; q < R; q++)
                p[r][q] += e.ww[r][q] / UTTS;
        }
    }
    for (int r = 0; r < R; r++)
        for (int q = 0; q < R; q++)
            p[r][q] -= h[r] * h[q];
    k[0][0] = sqrt(p[0][0]);
    k[1][0] = p[1][0] / k[0][0];
    k[1][1] = sqrt(p[1][1] - k[1][0] * k[1][0]);
    for (int c = 0; c < C; c++)
        for (int d = 0; d < D; d++) {
            double a[R][R] = {{0}}, b[R] = {0};
            for (int u = 0; u < UTTS; u++) {
                Expected e = plain_posterior(m, u);
                double n = m->n[u * C + c];
                for (int r = 0; r < R; r++) {
                    b[r] += (m->sums[(u * C + c) * D + d] - n * m->means[c * D + d]) * e.w[r];
                    for (int q = 0; q < R; q++)
                        a[r][q] += n * e.ww[r][q];
                }
            }
            double determinant = a[0][0] * a[1][1] - a[0][1] * a[1][0];
            double t[R] = {(a[1][1] * b[0] - a[0][1] * b[1]) / determinant,
                           (a[0][0] * b[1] - a[1][0] * b[0]) / determinant};
            means[c * D + d] = m->means[c * D + d] + t[0] * h[0] + t[1] * h[1];
            for (int q = 0; q < R; q++)
                matrix[(c * D + d) * R + q] = t[0] * k[0][q] + t[1] * k[1][q];
        }
}

static double iterate(Model *m)
{
    TvScorer *scorer = tv_scorer_create(&m->tv, &m->ubm.gmm, NULL);
    TvSums *sums = tv_sums_create(&m->tv, NULL);
    tv_gather(sums, scorer, m->n, m->sums, 10);
    tv_gather(sums, scorer, m->n + 10 * C, m->sums + 10 * C * D, UTTS - 10);
    double log_likelihood = tv_log_likelihood(sums);
    assert_int_equal(tv_maximise(sums, &m->tv, NULL), 0);
    tv_sums_destroy(sums);
    tv_scorer_destroy(scorer);
    return log_likelihood;
}

static void test_total_variability(void **state)
{
    (void)state;
    Model m;
    model_begin(&m, 20);
    for (int i = 0; i < 4; i++) {
        double means[C * D], matrix[C * D * R], expected = 0;
        float ivectors[UTTS * R];
        TvScorer *scorer = tv_scorer_create(&m.tv, &m.ubm.gmm, NULL);
        tv_extract(scorer, m.n, m.sums, UTTS, ivectors);
        tv_scorer_destroy(scorer);
        for (int u = 0; u < UTTS; u++) {
            Expected e = plain_posterior(&m, u);
            expected += e.log_likelihood / UTTS;
            for (int r = 0; r < R; r++)
                assert_true(fabs(ivectors[u * R + r] - e.w[r]) < 1e-3 * fmax(1, fabs(e.w[r])));
        }
        plain_update(&m, means, matrix);
        assert_true(fabs(iterate(&m) - expected) < 1e-4 * fabs(expected));
        for (int j = 0; j < C * D; j++)
            assert_true(fabs(m.means[j] - means[j]) < 1e-3);
        for (int j = 0; j < C * D * R; j++)
            assert_true(fabs(m.matrix[j] - matrix[j]) < 2e-3);
    }
}

static void test_total_variability_rises(void **state)
{
    (void)state;
    Model m;
    model_begin(&m, 30);
    double last = -1e30;
    for (int i = 0; i < 20; i++) {
        double now = iterate(&m);
        if (now < last - 1e-5 * fabs(last))
            fail_msg("iteration %d: %.7f after %.7f", i, now, last);
        last = now;
    }
}

// --- the front end

static void test_front_end(void **state)
{
    (void)state;
    enum { N = 11 };
    float x[N], delta[N], mean_free[N];
    for (int t = 0; t < N; t++)
        mean_free[t] = x[t] = (float)(3 * t);
    speech_deltas(x, N, 1, 1, 3, delta);
    for (int t = 3; t < N - 3; t++)
        assert_true(fabsf(delta[t] - 3) < 1e-5f); // the slope
    assert_true(delta[0] > 0 && delta[0] < 3);
    speech_subtract_sliding_mean(mean_free, N, 1, 5);
    for (int t = 2; t < N - 2; t++)
        assert_true(fabsf(mean_free[t]) < 1e-5f);
    assert_true(fabsf(mean_free[0] + 6) < 1e-5f); // the first five frames' mean is 6
    speech_subtract_sliding_mean(x, N, 1, 100);
    assert_true(fabsf(x[0] + 15) < 1e-5f);
    float log_energy[10] = {0, 0, 0, 0, 0, 0, 20, 0, 0, 0};
    bool voiced[10];
    speech_vad(log_energy, 10, voiced); // 1 of 5 frames is more than 12 %
    for (int t = 0; t < 10; t++)
        assert_true(voiced[t] == (t >= 4 && t <= 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixture),
        cmocka_unit_test(test_log_likelihood_rises),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_total_variability),
        cmocka_unit_test(test_total_variability_rises),
        cmocka_unit_test(test_front_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
