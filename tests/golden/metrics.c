// EER, minDCF, the error curve, DET's axis and the clustering measures against wespeaker's and
// scikit-learn's.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/memory.h"
#include "cluster/quality.h"
#include "golden.h"
#include "score/cosine.h"
#include "score/metrics.h"
#include "score/score_norm.h"

static const double TOLERANCE = 1e-6, SCORE_TOLERANCE = 1e-4; // absolute, as the file's README says

static double value_of(const Golden *golden, const char *name)
{
    return strtod(golden_text(golden_values(golden), name), NULL);
}

static int64_t integer_at(const SafeTensor *tensor, int64_t i)
{
    assert_non_null(tensor);
    int32_t value;
    assert_int_equal(tensor->type, SAFE_I32);
    memcpy(&value, (const char *)tensor->data + 4 * i, 4);
    return value;
}

static void expect(const char *name, double actual, double expected)
{
    if (!(fabs(actual - expected) <= TOLERANCE))
        fail_msg("%s: %.9f, expected %.9f", name, actual, expected);
}

static void check_trials(const Golden *golden, const char *name)
{
    const SafeTensor *scores = golden_find(golden, "in.%s.scores", name);
    const SafeTensor *labels = golden_find(golden, "in.%s.labels", name);
    int64_t n = scores->n_elements;
    double *values = mem_alloc((size_t)n, sizeof(double));
    bool *targets = mem_alloc((size_t)n, sizeof(bool));
    for (int64_t i = 0; i < n; i++) {
        values[i] = ((const float *)scores->data)[i];
        targets[i] = integer_at(labels, i) == 1;
    }
    DetCurve curve;
    Error error = {0};
    assert_int_equal(det_curve_create(values, targets, n, &curve, &error), 0);
    assert_int_equal(curve.n, n); // no ties in the file
    const SafeTensor *fnr = golden_find(golden, "out.%s.fnr", name),
                     *fpr = golden_find(golden, "out.%s.fpr", name);
    for (int64_t i = 0; i < n; i++) {
        expect("fnr", curve.points[i].fnr, ((const float *)fnr->data)[i]);
        expect("fpr", curve.points[i].fpr, ((const float *)fpr->data)[i]);
    }
    const SafeTensor *det = golden_find(golden, "out.%s.det_index", name);
    const SafeTensor *x = golden_find(golden, "out.%s.det_probit_fpr", name);
    for (int64_t i = 0; i < det->n_elements; i++)
        expect("probit", probit(curve.points[integer_at(det, i)].fpr), ((const float *)x->data)[i]);
    double threshold, eer = det_eer(&curve, &threshold);
    char key[64];
    snprintf(key, sizeof key, "out.%s.wespeaker.eer", name);
    expect(key, eer, value_of(golden, key));
    snprintf(key, sizeof key, "out.%s.wespeaker.eer_threshold", name);
    expect(key, threshold, value_of(golden, key));
    const cJSON *config = golden_case(golden, name), *p;
    golden_fixed(config, "c_miss", 1);
    golden_fixed(config, "c_fa", 1);
    golden_known(config, "trials", NULL);
    cJSON_ArrayForEach(p, golden_item(config, "p_target"))
    {
        snprintf(key, sizeof key, "out.%s.wespeaker.mindcf_p%g", name, p->valuedouble);
        expect(key, det_min_dcf(&curve, p->valuedouble), value_of(golden, key));
    }
    det_curve_release(&curve);
    mem_free(values);
    mem_free(targets);
}

// The cases of a kind are the tensors "in.<case>.<leaf>" of the file.
static void trials_match(void **state)
{
    (void)state;
    Golden *golden = golden_open("metrics.safetensors");
    int64_t n_cases = 0;
    const SafeTensor *tensor;
    for (int64_t i = 0; (tensor = golden_at(golden, i)) != NULL; i++) {
        char name[32];
        int end = 0;
        if (sscanf(tensor->name, "in.%31[^.].scores%n", name, &end) == 1 && end > 0) {
            check_trials(golden, name);
            n_cases++;
        }
    }
    assert_true(n_cases > 0);
    golden_close(golden);
}

static void check_clusters(const Golden *golden, const char *name, const SafeTensor *clusters)
{
    const SafeTensor *truth = golden_find(golden, "in.clust.true");
    int64_t n = truth->n_elements;
    int64_t *a = mem_alloc((size_t)n, sizeof(int64_t)), *b = mem_alloc((size_t)n, sizeof(int64_t));
    for (int64_t i = 0; i < n; i++) {
        a[i] = integer_at(truth, i);
        b[i] = integer_at(clusters, i);
    }
    Agreement m;
    agreement_measure(a, b, n, &m);
    const struct {
        const char *name;
        double value;
    } measures[] = {{"nmi", m.nmi},
                    {"ari", m.ari},
                    {"homogeneity", m.homogeneity},
                    {"completeness", m.completeness},
                    {"v_measure", m.v_measure},
                    {"purity", m.purity},
                    {"pair_precision", m.pair_precision},
                    {"pair_recall", m.pair_recall},
                    {"pair_f1", m.pair_f1}};
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
        char key[64];
        snprintf(key, sizeof key, "out.clust.%s.%s", name, measures[i].name);
        expect(key, measures[i].value, value_of(golden, key));
    }
    mem_free(a);
    mem_free(b);
}

static void clusterings_match(void **state)
{
    (void)state;
    Golden *golden = golden_open("metrics.safetensors");
    int64_t n_cases = 0;
    const SafeTensor *tensor;
    for (int64_t i = 0; (tensor = golden_at(golden, i)) != NULL; i++) {
        char name[32];
        if (sscanf(tensor->name, "in.clust.%31s", name) == 1 && strcmp(name, "true") != 0) {
            check_clusters(golden, name, tensor);
            n_cases++;
        }
    }
    assert_true(n_cases > 0);
    golden_close(golden);
}

static float *copy_rows(const Golden *golden, const char *name, const float *mean, int64_t *n, int64_t *dim)
{
    const SafeTensor *tensor = golden_tensor(golden, name);
    *n = tensor->dim[0];
    *dim = tensor->dim[1];
    float *rows = mem_alloc((size_t)tensor->n_elements, sizeof(float));
    memcpy(rows, tensor->data, (size_t)tensor->n_elements * sizeof(float));
    if (mean)
        rows_subtract(rows, *n, *dim, mean);
    assert_int_equal(rows_normalise(rows, *n, *dim), -1);
    return rows;
}

static void check_scores(const Golden *golden, const char *variant, const char *what, const double *actual,
                         int64_t n)
{
    const SafeTensor *expected = golden_find(golden, "out.%s.%s", variant, what);
    assert_int_equal(expected->n_elements, n);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(actual[i] - ((const float *)expected->data)[i]) <= SCORE_TOLERANCE))
            fail_msg("%s.%s[%lld]: %.7f, expected %.7f", variant, what, (long long)i, actual[i],
                     ((const float *)expected->data)[i]);
}

// Enrolment and test rows lie in one matrix: trials index it.
static void check_norm(const Golden *golden, const char *variant, const float *mean)
{
    int64_t n_enroll, n_test, n_cohort, dim;
    float *enroll = copy_rows(golden, "in.asnorm.enroll", mean, &n_enroll, &dim);
    float *test = copy_rows(golden, "in.asnorm.test", mean, &n_test, &dim);
    float *cohort = copy_rows(golden, "in.asnorm.cohort", mean, &n_cohort, &dim);
    float *rows = mem_alloc((size_t)((n_enroll + n_test) * dim), sizeof(float));
    memcpy(rows, enroll, (size_t)(n_enroll * dim) * sizeof(float));
    memcpy(rows + n_enroll * dim, test, (size_t)(n_test * dim) * sizeof(float));
    const SafeTensor *pairs = golden_tensor(golden, "in.asnorm.pairs");
    Trials trials = {.trials = mem_zero((size_t)pairs->dim[0], sizeof(Trial)), .n = pairs->dim[0]};
    for (int64_t t = 0; t < trials.n; t++) {
        trials.trials[t].enroll = integer_at(pairs, 2 * t);
        trials.trials[t].test = n_enroll + integer_at(pairs, 2 * t + 1);
    }
    double *scores = mem_alloc((size_t)trials.n, sizeof(double));
    const cJSON *config = golden_case(golden, "asnorm");
    int64_t top = (int64_t)golden_number(config, "top_n");
    golden_known(config, "rule", "variants", NULL);
    for (int adaptive = 0; adaptive < 2; adaptive++) {
        CohortStatistics statistics =
            cohort_statistics(rows, n_enroll + n_test, cohort, n_cohort, dim, adaptive ? top : 0);
        cosine_score(rows, dim, &trials, scores);
        check_scores(golden, variant, "cosine", scores, trials.n);
        score_normalise(&trials, &statistics, scores);
        check_scores(golden, variant, adaptive ? "asnorm" : "snorm", scores, trials.n);
        if (adaptive) {
            check_scores(golden, variant, "enroll_mean", statistics.mean, n_enroll);
            check_scores(golden, variant, "enroll_std", statistics.deviation, n_enroll);
            check_scores(golden, variant, "test_mean", statistics.mean + n_enroll, n_test);
            check_scores(golden, variant, "test_std", statistics.deviation + n_enroll, n_test);
        }
        cohort_statistics_release(&statistics);
    }
    mem_free(scores);
    trials_release(&trials);
    mem_free(rows);
    mem_free(cohort);
    mem_free(test);
    mem_free(enroll);
}

static void score_norm(void **state)
{
    (void)state;
    Golden *golden = golden_open("metrics.safetensors");
    check_norm(golden, "asnorm_nomean", NULL);
    check_norm(golden, "asnorm_mean", golden_float(golden, "in.asnorm.mean"));
    golden_close(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(trials_match), cmocka_unit_test(clusterings_match),
                                       cmocka_unit_test(score_norm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
