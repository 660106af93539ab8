// Whitened rows have mean 0 and the identity as covariance; directions without variance are left out.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/rng.h"
#include "cluster/whiten.h"

enum { N = 500, DIM = 12, RANK = 7 };

// Random rows in a RANK-dimensional subspace with very different variances, off the origin.
static float *skewed_rows(uint64_t seed)
{
    Rng rng = rng_stream(seed, "whiten", 0, 0);
    double mixing[RANK][DIM];
    float *rows = mem_zero(N * DIM, sizeof *rows);
    for (int r = 0; r < RANK; r++)
        for (int d = 0; d < DIM; d++)
            mixing[r][d] = rng_normal(&rng) * pow(1.8, r);
    for (int i = 0; i < N; i++)
        for (int r = 0; r < RANK; r++) {
            double factor = rng_normal(&rng) + 2;
            for (int d = 0; d < DIM; d++)
                rows[i * DIM + d] += (float)(factor * mixing[r][d]);
        }
    return rows;
}

// whitened is new: [N, kept].
static int whiten(const float *rows, int64_t n, int64_t dim, int64_t keep, float **whitened, int64_t *kept,
                  Error *error)
{
    Whitening w = {0};
    if (whitening_fit(rows, n, dim, keep, &w, error) < 0)
        return -1;
    *kept = w.kept;
    *whitened = mem_alloc((size_t)(n * w.kept), sizeof(float));
    whitening_apply(&w, rows, n, *whitened);
    whitening_release(&w);
    return 0;
}

static double moment(const float *rows, int64_t dim, int64_t a, int64_t b)
{
    double sum = 0;
    for (int64_t i = 0; i < N; i++)
        sum += (double)rows[i * dim + a] * (b < 0 ? 1 : rows[i * dim + b]);
    return sum / (b < 0 ? N : N - 1);
}

static void covariance_is_identity(void **state)
{
    (void)state;
    float *rows = skewed_rows(7), *white = NULL;
    int64_t kept = 0;
    Error error = {0};
    assert_int_equal(whiten(rows, N, DIM, 100, &white, &kept, &error), 0);
    assert_int_equal(kept, RANK);
    for (int64_t a = 0; a < kept; a++) {
        assert_true(fabs(moment(white, kept, a, -1)) < 1e-4);
        for (int64_t b = 0; b < kept; b++)
            assert_true(fabs(moment(white, kept, a, b) - (a == b)) < 1e-3);
    }
    mem_free(white);
    mem_free(rows);
}

static void strongest_directions_are_kept(void **state)
{
    (void)state;
    float *rows = skewed_rows(8), *all = NULL, *few = NULL;
    int64_t n_all = 0, n_few = 0;
    Error error = {0};
    assert_int_equal(whiten(rows, N, DIM, 100, &all, &n_all, &error), 0);
    assert_int_equal(whiten(rows, N, DIM, 3, &few, &n_few, &error), 0);
    assert_int_equal(n_few, 3);
    for (int64_t i = 0; i < N; i++)
        for (int64_t k = 0; k < n_few; k++)
            assert_true(few[i * n_few + k] == all[i * n_all + k]);
    mem_free(few);
    mem_free(all);
    mem_free(rows);
}

static void equal_rows_are_refused(void **state)
{
    (void)state;
    float rows[6] = {1, 2, 1, 2, 1, 2}, *white = NULL;
    int64_t kept;
    Error error = {0};
    assert_int_equal(whiten(rows, 3, 2, 2, &white, &kept, &error), -1);
    assert_non_null(error.text);
    assert_null(white);
}

// A common row plus one direction of a hundredth, rounded to float: the other directions hold nothing but
// rounding, whatever their share of the largest variance.
static void rounding_is_no_direction(void **state)
{
    (void)state;
    enum { COUNT = 40, WIDTH = 12 };
    const double scales[] = {1e-2, 2e-5};
    for (int s = 0; s < 2; s++) {
        float rows[COUNT * WIDTH], *white = NULL;
        int64_t kept = 0;
        Error error = {0};
        for (int i = 0; i < COUNT * WIDTH; i++) // a column is constant, too
            rows[i] = i % WIDTH == 3
                          ? 1
                          : (float)(1.0 / 3 + i % WIDTH + scales[s] * (i / WIDTH % 7 - 3) * (i % WIDTH));
        assert_int_equal(whiten(rows, COUNT, WIDTH, 100, &white, &kept, &error), 0);
        assert_int_equal(kept, 1);
        mem_free(white);
    }
    float noise[3 * 2] = {1, 1, 1.0000001F, 1, 1, 0.99999994F}, *white = NULL;
    int64_t kept;
    Error error = {0};
    assert_int_equal(whiten(noise, 3, 2, 2, &white, &kept, &error), -1);
    assert_non_null(strstr(error.text, "are the same"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(covariance_is_identity),
        cmocka_unit_test(strongest_directions_are_kept),
        cmocka_unit_test(equal_rows_are_refused),
        cmocka_unit_test(rounding_is_no_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
