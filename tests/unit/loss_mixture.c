// The gate's threshold: mixtures of known parameters are found again, and what has no two modes is refused.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "losses/loss_mixture.h"

enum { N = 20000 };

static float values[N];

// A share of values around -2, the others around 1.
static void draw(double share, double deviation_low, double deviation_high)
{
    Rng rng = rng_stream(7, "loss mixture", 0, 0);
    for (int i = 0; i < N; i++)
        values[i] = (float)(i < share * N ? -2 + deviation_low * rng_normal(&rng)
                                          : 1 + deviation_high * rng_normal(&rng));
}

static void test_parameters(void **state)
{
    (void)state;
    draw(0.8, 0.5, 0.3);
    LossMixture m;
    double threshold;
    assert_int_equal(loss_mixture_fit(values, N, &m, NULL), 0);
    assert_true(fabs(m.weight[0] - 0.8) < 0.01 && fabs(m.weight[0] + m.weight[1] - 1) < 1e-9);
    assert_true(fabs(m.mean[0] + 2) < 0.02 && fabs(m.mean[1] - 1) < 0.02);
    assert_true(fabs(sqrt(m.variance[0]) - 0.5) < 0.02 && fabs(sqrt(m.variance[1]) - 0.3) < 0.02);
    assert_int_equal(loss_mixture_crossing(&m, &threshold, NULL), 0);
    double low = m.weight[0] / sqrt(m.variance[0]) * exp(-pow(threshold - m.mean[0], 2) / 2 / m.variance[0]);
    double high = m.weight[1] / sqrt(m.variance[1]) * exp(-pow(threshold - m.mean[1], 2) / 2 / m.variance[1]);
    assert_true(threshold > -2 && threshold < 1 && fabs(low - high) < 1e-6 * low);
}

// Equal weights and widths meet in the middle.
static void test_symmetry(void **state)
{
    (void)state;
    LossMixture m = {{0.5, 0.5}, {-1, 3}, {0.7, 0.7}};
    double threshold;
    assert_int_equal(loss_mixture_crossing(&m, &threshold, NULL), 0);
    assert_true(fabs(threshold - 1) < 1e-9);
}

static void test_no_crossing(void **state)
{
    (void)state;
    LossMixture swamped = {{0.999, 0.001}, {0, 0.1}, {1, 1}}; // the second never outweighs the first
    double threshold = 5;
    Error error = {0};
    assert_int_equal(loss_mixture_crossing(&swamped, &threshold, &error), -1);
    assert_true(threshold == 5);
    assert_non_null(strstr(error.text, "no two modes"));
}

static void test_too_little(void **state)
{
    (void)state;
    LossMixture m;
    Error error = {0};
    assert_int_equal(loss_mixture_fit((float[]){1, 2, 3}, 3, &m, &error), -1);
    assert_non_null(strstr(error.text, "too few"));
    error_clear(&error);
    assert_int_equal(loss_mixture_fit((float[]){2, 2, 2, 2, 2}, 5, &m, &error), -1);
    assert_non_null(strstr(error.text, "the same"));
}

// Two values only: variances of zero do not become infinite densities.
static void test_two_points(void **state)
{
    (void)state;
    LossMixture m;
    double threshold;
    assert_int_equal(loss_mixture_fit((float[]){0, 0, 0, 1, 1}, 5, &m, NULL), 0);
    assert_int_equal(loss_mixture_crossing(&m, &threshold, NULL), 0);
    assert_true(threshold > 0 && threshold < 1 && fabs(m.weight[0] - 0.6) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),  cmocka_unit_test(test_symmetry),
        cmocka_unit_test(test_no_crossing), cmocka_unit_test(test_too_little),
        cmocka_unit_test(test_two_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
