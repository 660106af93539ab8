// The vectorisable functions against libm in double, over all of their range.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tensor/vecmath.h"

enum { N = 400000 };
#if defined(__FMA__) && defined(__OPTIMIZE__) // the compiler fuses
static const double UNITS = 2;
#else
static const double UNITS = 3;
#endif

static void test_exp(void **state)
{
    (void)state;
    for (int i = 0; i <= N; i++) {
        float x = -87.0f + 175.0f * (float)i / N;
        double exact = exp((double)x), got = fast_exp(x);
        if (!(fabs(got - exact) <= UNITS * 0x1p-23 * exact)) // in the last place, at the worst
            fail_msg("exp(%.9g): %.9g, libm says %.9g", (double)x, got, exact);
    }
    assert_true(fast_exp(0) == 1);
    assert_true(fast_exp(-INFINITY) < 1.7e-38f && fast_exp(-1000) < 1.7e-38f);
    assert_true(isnan(fast_exp(NAN)));
}

static void test_bounded(void **state)
{
    (void)state;
    for (int i = 0; i <= N; i++) {
        float x = -20.0f + 40.0f * (float)i / N;
        assert_true(fabs((double)fast_tanh(x) - tanh((double)x)) <= 4e-7);
        assert_true(fabs((double)fast_erf(x) - erf((double)x)) <= 4e-7);
        assert_true(fabs((double)fast_sigmoid(x) - 1 / (1 + exp(-(double)x))) <= 4e-7);
    }
    static const float far[] = {100, 1e10f, INFINITY};
    for (int i = 0; i < 3; i++) {
        assert_true(fast_tanh(far[i]) == 1 && fast_tanh(-far[i]) == -1);
        assert_true(fast_erf(far[i]) == 1 && fast_erf(-far[i]) == -1);
        assert_true(fast_sigmoid(far[i]) == 1 && fast_sigmoid(-far[i]) < 1e-37f);
    }
    assert_true(isnan(fast_tanh(NAN)) && isnan(fast_erf(NAN)) && isnan(fast_sigmoid(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exp), cmocka_unit_test(test_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
