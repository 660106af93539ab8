// Calibration: costs by hand, the least cost by an independent slow rule, and a fit that finds the true
// log-likelihood ratio of two normal distributions.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "damage.h"
#include "gradcheck.h"
#include "score/calibration.h"

static void costs_by_hand(void **state)
{
    (void)state;
    const bool targets[] = {true, true, false, false};
    assert_float_equal(cllr((double[]){0, 0, 0, 0}, targets, 4), 1, 1e-12);
    // llr = log 3 for all: targets cost log2(4/3), nontargets log2(4)
    double three = log(3);
    assert_float_equal(cllr((double[]){three, three, three, three}, targets, 4), (log2(4.0 / 3) + 2) / 2,
                       1e-12);
    // log(99) = 4.595: one target and one nontarget lie above it
    double llrs[] = {5, 4, 5, -5};
    assert_float_equal(actual_dcf(llrs, targets, 4, 0.01), (0.01 * 0.5 + 0.99 * 0.5) / 0.01, 1e-9);
    assert_float_equal(actual_dcf((double[]){9, 9, -9, -9}, targets, 4, 0.01), 0, 0);
    assert_true(isfinite(cllr((double[]){1e6, 1e6, -1e6, -1e6}, targets, 4)));
}

// Isotonic regression by its min-max formula, over trials sorted by score: for each trial the largest over
// starts of the least over ends of the targets' share, targets and nontargets weighing 1/2 each.
static double slow_least_cost(const double *scores, const bool *targets, int n)
{
    double n_target = 0, cost = 0;
    for (int i = 0; i < n; i++)
        n_target += targets[i];
    for (int i = 0; i < n; i++) {
        double share = 0;
        for (int low = 0; low < n; low++) {
            double least = 1;
            for (int high = 0; scores[low] <= scores[i] && high < n; high++) {
                double t = 0, m = 0;
                for (int k = 0; scores[high] >= scores[i] && k < n; k++)
                    if (scores[k] >= scores[low] && scores[k] <= scores[high])
                        *(targets[k] ? &t : &m) += 1 / (targets[k] ? n_target : n - n_target);
                if (t + m > 0)
                    least = fmin(least, t / (t + m));
            }
            if (scores[low] <= scores[i])
                share = fmax(share, least);
        }
        cost -= targets[i] ? log2(share) / n_target / 2 : log2(1 - share) / (n - n_target) / 2;
    }
    return cost;
}

static void least_cost_is_isotonic(void **state)
{
    (void)state;
    enum { N = 40 };
    double scores[N];
    bool targets[N];
    for (uint64_t set = 0; set < 20; set++) {
        Rng rng = rng_stream(test_seed(), "calibration", set, 0);
        for (int i = 0; i < N; i++) {
            targets[i] = i % 3 == 0;
            scores[i] = round(4 * (rng_normal(&rng) + targets[i])) / 4; // with ties
        }
        DetCurve curve;
        assert_int_equal(det_curve_create(scores, targets, N, &curve, NULL), 0);
        assert_float_equal(cllr_min(&curve), slow_least_cost(scores, targets, N), 1e-9);
        det_curve_release(&curve);
    }
}

// Targets around 1, nontargets around -1, both with deviation 1: the log-likelihood ratio is 2 s. Measured on
// 3 s + 5 it is 2/3 s - 10/3.
static void finds_the_true_ratio(void **state)
{
    (void)state;
    enum { N = 40000 };
    double *scores = mem_alloc(N, sizeof(double));
    bool *targets = mem_alloc(N, sizeof(bool));
    Rng rng = rng_stream(test_seed(), "calibration fit", 0, 0);
    for (int i = 0; i < N; i++) {
        targets[i] = i % 10 == 0;
        scores[i] = 3 * (rng_normal(&rng) + (targets[i] ? 1 : -1)) + 5;
    }
    Calibration c, moved;
    bool separable;
    assert_int_equal(calibration_fit(scores, targets, N, &c, &separable, NULL), 0);
    assert_false(separable);
    assert_float_equal(c.scale, 2.0 / 3, 0.06);
    assert_float_equal(c.offset, -10.0 / 3, 0.3);
    double *llrs = mem_alloc(N, sizeof(double)), least = INFINITY;
    for (int k = 0; k < 5; k++) { // the fit first, then four places near it
        moved = (Calibration){c.scale + (k == 1   ? 0.01
                                         : k == 2 ? -0.01
                                                  : 0),
                              c.offset + (k == 3   ? 0.02
                                          : k == 4 ? -0.02
                                                   : 0)};
        for (int i = 0; i < N; i++)
            llrs[i] = scores[i];
        calibration_apply(&moved, llrs, N);
        double cost = cllr(llrs, targets, N);
        assert_true(k == 0 || cost > least);
        least = fmin(least, cost);
    }
    DetCurve curve;
    assert_int_equal(det_curve_create(scores, targets, N, &curve, NULL), 0);
    assert_true(cllr_min(&curve) <= least && cllr_min(&curve) > 0.9 * least);
    det_curve_release(&curve);
    mem_free(llrs);
    mem_free(scores);
    mem_free(targets);
}

static void extremes(void **state)
{
    (void)state;
    const bool targets[] = {true, true, false, false};
    Calibration c;
    bool separable;
    Error error = {0};
    assert_int_equal(calibration_fit((double[]){0.9, 0.8, 0.1, 0.2}, targets, 4, &c, &separable, &error), 0);
    assert_true(separable && isfinite(c.scale) && isfinite(c.offset));
    // Far out, or hardly apart: still a finite map that puts every trial on its side.
    static const double APART[][4] = {{1e300, 9e299, -1e300, -9e299},
                                      {1e9 + 1, 1e9 + 2, 1e9 - 1, 1e9 - 2},
                                      {1e-200, 2e-200, -1e-200, -2e-200},
                                      {0.5 + 1e-15, 1, 0.5 - 1e-15, 0}};
    for (int k = 0; k < 4; k++) {
        double scores[4];
        memcpy(scores, APART[k], sizeof scores);
        assert_int_equal(calibration_fit(scores, targets, 4, &c, &separable, &error), 0);
        calibration_apply(&c, scores, 4);
        for (int i = 0; i < 4; i++)
            assert_true(isfinite(scores[i]) && (k == 3 || (scores[i] > 0) == targets[i]));
    }
    assert_int_equal(calibration_fit((double[]){0.1, 0.2, 0.8, 0.9}, targets, 4, &c, &separable, &error), -1);
    assert_int_equal(calibration_fit((double[]){1, 1, 1, 1}, targets, 4, &c, &separable, &error), -1);
}

static void file_round_trip(void **state)
{
    (void)state;
    char *folder = scratch_create(), *path = path_join(folder, "c.json");
    Calibration c = {0.1 + 0.2, -1.0 / 3}, back;
    Error error = {0};
    assert_int_equal(calibration_publish(path, &c, &error), 0);
    assert_int_equal(calibration_load(path, &back, &error), 0);
    assert_true(back.scale == c.scale && back.offset == c.offset);
    scratch_remove(folder);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(costs_by_hand),
                                       cmocka_unit_test(least_cost_is_isotonic),
                                       cmocka_unit_test(finds_the_true_ratio), cmocka_unit_test(extremes),
                                       cmocka_unit_test(file_round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
