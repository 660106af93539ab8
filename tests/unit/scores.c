// Trials in both forms and their errors; EER and minDCF against counting at every threshold.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/rng.h"
#include "score/eer_interval.h"
#include "score/label_free.h"
#include "score/metrics.h"
#include "score/trials.h"

static char *utts[] = {"a/1", "a/2", "b/1", "b/2", "c/1"};
enum { N_UTTS = sizeof utts / sizeof *utts };

static int parse(const char *text, Trials *trials, Error *error)
{
    error_clear(error);
    return trials_parse("trials", text, utts, N_UTTS, trials, error);
}

static void reads_both_forms(void **state)
{
    (void)state;
    Trials t;
    Error error = {0};
    assert_int_equal(parse("1 a/1 a/2\n0 a/1 c/1\r\n\n", &t, &error), 0);
    assert_string_equal(t.form, "voxceleb");
    assert_int_equal(t.n, 2);
    assert_true(t.trials[0].target && t.trials[0].test == 1 && t.trials[1].test == 4);
    trials_release(&t);
    assert_int_equal(parse("a/1 a/2 target\nb/1\tc/1 0\n", &t, &error), 0);
    assert_string_equal(t.form, "kaldi");
    assert_int_equal(t.trials[1].enroll, 2);
    trials_release(&t);
}

static void names_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"1 a/1 x\n0 y b/1\n0 y z\n",
         "2 unknown on the enrolment side: y y; 2 unknown on the test side: x z"},
        {"0 p a/1\n0 p a/1\n0 p a/1\n0 p a/1\n0 p a/1\n1 p a/1\n",
         "6 unknown on the enrolment side: p p p p p ..."},
        {"1 a/1 a/2\n2 a/1 b/1\n", "trials:2: `2` is no trial label"},
        {"1 a/1\n", "trials:1: 2 fields"},
        {"1 a/1 a/2\n", "1 target and 0 nontarget"},
        {"", "0 target and 0 nontarget"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Trials t;
        Error error = {0};
        assert_int_equal(parse(cases[i].text, &t, &error), -1);
        if (!strstr(error.text, cases[i].message))
            fail_msg("`%s` does not say `%s`", error.text, cases[i].message);
    }
}

// Names with whatever files may be called, in every form that can hold them.
static void reads_any_name(void **state)
{
    (void)state;
    static char *ids[] = {
        "%20lead.wav", "New%20Recording%201.wav", "New%20Recording%202.wav", "a,b.wav", "a.wav", "b.wav",
        "target"};
    enum { N_IDS = sizeof ids / sizeof *ids };
    static const struct {
        const char *text, *form;
        int enroll[2], test[2];
    } cases[] = {
        {"1 New Recording 1.wav New Recording 2.wav\n0 a.wav New Recording 1.wav\n",
         "voxceleb",
         {1, 4},
         {2, 1}},
        {"New Recording 1.wav New Recording 2.wav target\na.wav b.wav nontarget\n", "kaldi", {1, 4}, {2, 5}},
        {"1\tNew Recording 1.wav\ta.wav\r\n0\ta.wav\tb.wav\r\n", "voxceleb", {1, 4}, {4, 5}},
        {"1 a.wav  lead.wav\n0  lead.wav b.wav\n", "voxceleb", {4, 0}, {0, 5}},
        {"1   a.wav   b.wav\n0 b.wav     a.wav  \n", "voxceleb", {4, 5}, {5, 4}},
        {"1,New Recording 1.wav,b.wav\n0,b.wav,a.wav\n", "voxceleb", {1, 5}, {5, 4}},
        {"label,enroll,test\n1,a.wav,b.wav\n0,\"a,b.wav\",b.wav\n", "voxceleb", {4, 3}, {5, 5}},
        {"1 a,b.wav a.wav\n0 b.wav a,b.wav\n", "voxceleb", {3, 5}, {4, 3}},
        {"1 a.wav target\n0 target b.wav\n", "voxceleb", {4, 6}, {6, 5}}, // an utterance called target
        {"\xEF\xBB\xBF"
         "1 a.wav b.wav\n0 b.wav a.wav",
         "voxceleb",
         {4, 5},
         {5, 4}},
        {"1 /data/a.wav /data/b.wav\n0 /data/b.wav /data/New Recording 1.wav\n", "voxceleb", {4, 5}, {5, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Trials t;
        Error error = {0};
        const char *text =
            cases[i].text + (cases[i].text[0] == '\xEF' ? 3 : 0); // text_read() takes the mark away
        if (trials_parse("trials", text, ids, N_IDS, &t, &error) != 0)
            fail_msg("%s: %s", cases[i].text, error.text);
        assert_string_equal(t.form, cases[i].form);
        assert_int_equal(t.n, 2);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(t.trials[k].enroll, cases[i].enroll[k]);
            assert_int_equal(t.trials[k].test, cases[i].test[k]);
            assert_int_equal(t.trials[k].target, k == 0);
        }
        trials_release(&t);
    }
}

static void refuses_what_it_cannot_tell(void **state)
{
    (void)state;
    static char *ids[] = {"a", "a%20b", "b", "b%20c", "c", "x%20y"};
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"1 a b c\n0 a c\n", "trials:1: `1 a b c` can be read as two trials"},
        {"1 a c\n0 a c 0.5\n", "trials:2: 4 fields"},
        {"1 a c\n0 p q r\n", "trials:2: `p q r`: neither its beginning nor its end is an utterance"},
        {"1 a c\n0 x y some thing else\n", "; 1 unknown on the test side: some thing else"},
        {"1 a c\n0 some thing else x y\n", "; 1 unknown on the enrolment side: some thing else"},
        {"{\"label\": 1, \"enroll\": \"a\", \"test\": \"c\"}\n", "trials is JSON; trials are lines"},
        {"# made by me\n1 a c\n", "trials:1: `#` is no trial label"},
        {"label enroll test\n1 a c\n", "trials:1: `label` is no trial label"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Trials t;
        Error error = {0};
        assert_int_equal(trials_parse("trials", cases[i].text, ids, 6, &t, &error), -1);
        if (!strstr(error.text, cases[i].message))
            fail_msg("%s: `%s` does not say `%s`", cases[i].text, error.text, cases[i].message);
    }
}

static void draw_label_free(const char *session, char *const *ids, int64_t n, Trials *t)
{
    Error error = {0};
    SessionRule *rule = session_rule_create(session, &error);
    Sessions sessions;
    if (!rule || sessions_find(rule, ids, n, &sessions, &error) != 0)
        fail_msg("%s", error.text);
    trials_label_free(&sessions, NULL, 100, 1, t);
    sessions_release(&sessions);
    session_rule_destroy(rule);
}

static void makes_label_free_trials(void **state)
{
    (void)state;
    Trials t;
    draw_label_free("folder", utts, N_UTTS, &t);
    assert_int_equal(t.n_target, 2);
    assert_int_equal(t.n_nontarget, 100);
    for (int64_t i = 0; i < t.n; i++)
        assert_int_equal(utts[t.trials[i].enroll][0] == utts[t.trials[i].test][0], t.trials[i].target);
    trials_release(&t);
    static const struct { // without pairs of one kind
        const char *session;
        char *ids[3];
        int64_t n;
    } empty[] = {{"folder", {"x", "y", "z"}, 3},
                 {"folder", {"a/x", "b/y"}, 2},
                 {"folder", {"a/x", "a/y"}, 2},
                 {"file", {"a/x", "a/y", "b/z"}, 3},
                 {"file", {"x#1", "x#2"}, 2}};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        draw_label_free(empty[i].session, empty[i].ids, empty[i].n, &t);
        assert_int_equal(t.n, 0);
        trials_release(&t);
    }
    char *halves[] = {"x#1", "x#2", "y#1", "y#2"}, *in_one[] = {"a/x#1", "a/x#2", "a/y#1", "a/y#2"};
    for (int k = 0; k < 2; k++) {
        draw_label_free("file", k ? in_one : halves, 4, &t);
        assert_int_equal(t.n_target, 2);
        assert_int_equal(t.n_nontarget, 100);
        for (int64_t i = 0; i < t.n; i++)
            assert_int_equal(t.trials[i].enroll / 2 == t.trials[i].test / 2, t.trials[i].target);
        trials_release(&t);
    }
}

// By file a pair of one speaker is two halves, whatever lies in the folder; two speakers never share a
// folder.
static void takes_no_folder_for_a_speaker(void **state)
{
    (void)state;
    char *halves[] = {"a/x#1", "a/x#2", "a/y#1", "a/y#2", "b/z#1", "b/z#2"};
    Trials t;
    draw_label_free("file", halves, 6, &t);
    assert_int_equal(t.n_target, 3);
    assert_int_equal(t.n_nontarget, 100);
    for (int64_t i = 0; i < t.n; i++) {
        const char *enroll = halves[t.trials[i].enroll], *test = halves[t.trials[i].test];
        if (t.trials[i].target)
            assert_memory_equal(enroll, test, 4);
        else
            assert_int_not_equal(enroll[0], test[0]);
    }
    trials_release(&t);
}

// 100 recordings of all lengths, in halves: the second utterance of a nontarget is about as long as that of
// the target whose first it has.
static void matches_durations(void **state)
{
    (void)state;
    enum { N = 200, MOST = 2000 };
    char names[N][16], *halves[N];
    int64_t durations[N];
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "r%03d.wav#%d", i / 2, i % 2 + 1);
        halves[i] = names[i];
        durations[i] = 16000 * (int64_t)((i / 2) * 37 % 100 + 1);
    }
    Trials t;
    Error error = {0};
    SessionRule *rule = session_rule_create("file", &error);
    Sessions sessions;
    assert_int_equal(sessions_find(rule, halves, N, &sessions, &error), 0);
    trials_label_free(&sessions, durations, MOST, 1, &t);
    sessions_release(&sessions);
    session_rule_destroy(rule);
    assert_int_equal(t.n_target, 100);
    assert_int_equal(t.n_nontarget, MOST);
    double sum[2] = {0};
    for (int64_t i = 0; i < t.n; i++) {
        const Trial *trial = &t.trials[i];
        int64_t a = durations[trial->enroll], b = durations[trial->test];
        assert_true((trial->enroll / 2 == trial->test / 2) == trial->target);
        assert_true(a - b <= 16000 * 5 && b - a <= 16000 * 5); // 10 of 200 ranks
        sum[trial->target] += (double)b;
    }
    assert_true(fabs(sum[1] / (double)t.n_target / (sum[0] / (double)t.n_nontarget) - 1) < 0.05);
    trials_release(&t);
}

// Counts errors at one threshold.
static void count_errors(const double *scores, const bool *targets, int n, double threshold, double *fnr,
                         double *fpr)
{
    double miss = 0, alarm = 0, n_target = 0;
    for (int i = 0; i < n; i++) {
        n_target += targets[i];
        miss += targets[i] && scores[i] <= threshold;
        alarm += !targets[i] && scores[i] > threshold;
    }
    *fnr = miss / n_target;
    *fpr = alarm / (n - n_target);
}

static void measures_equal_counting(void **state)
{
    (void)state;
    enum { N = 400 };
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    Rng rng = rng_stream(seed, "scores", 0, 0);
    double scores[N];
    bool targets[N];
    for (int i = 0; i < N; i++) {
        targets[i] = i % 5 == 0;
        scores[i] = round(10 * (rng_normal(&rng) + 1.5 * targets[i])) / 10; // with ties
    }
    DetCurve curve;
    Error error = {0};
    assert_int_equal(det_curve_create(scores, targets, N, &curve, &error), 0);
    double dcf = 0.01, below = 0, above = 1;
    for (int64_t i = 0; i < curve.n; i++) {
        double fnr, fpr;
        count_errors(scores, targets, N, curve.points[i].threshold, &fnr, &fpr);
        assert_true(fabs(fnr - curve.points[i].fnr) < 1e-12 && fabs(fpr - curve.points[i].fpr) < 1e-12);
        dcf = fmin(dcf, 0.01 * fnr + 0.99 * fpr);
        below = fmax(below, fmin(fnr, fpr));
        above = fmin(above, fmax(fnr, fpr));
    }
    assert_true(fabs(det_min_dcf(&curve, 0.01) - dcf / 0.01) < 1e-12);
    double eer = det_eer(&curve, NULL);
    assert_true(eer >= below - 1e-12 && eer <= above + 1e-12);
    det_curve_release(&curve);
}

// Trials among few speakers, some of whom are hard: the EER scatters more than 2 000 independent trials
// would. The interval must know that from one set of trials alone.
static void interval_is_as_wide_as_the_scatter(void **state)
{
    (void)state;
    enum { SETS = 80, SPEAKERS = 40, EACH = 8, N = SPEAKERS * EACH, NONTARGETS = 2000 };
    Trial list[SPEAKERS * EACH * (EACH - 1) / 2 + NONTARGETS];
    double scores[sizeof list / sizeof list[0]], sum = 0, squares = 0, width = 0;
    bool targets[sizeof list / sizeof list[0]];
    for (uint64_t set = 0; set < SETS; set++) {
        Rng rng = rng_stream(7, "interval", set, 0);
        double ease[SPEAKERS], plainness[SPEAKERS];
        for (int s = 0; s < SPEAKERS; s++) {
            ease[s] = 0.8 * rng_normal(&rng);
            plainness[s] = 0.5 * rng_normal(&rng);
        }
        Trials t = {.trials = list};
        for (int64_t i = 0; i < N; i++)
            for (int64_t j = i + 1; j < N && j / EACH == i / EACH; j++) {
                scores[t.n] = 2.5 + ease[i / EACH] + 0.7 * rng_normal(&rng);
                list[t.n++] = (Trial){i, j, true};
            }
        while (t.n < (int64_t)(sizeof list / sizeof list[0])) {
            int64_t i = (int64_t)rng_below(&rng, N), j = (int64_t)rng_below(&rng, N);
            if (i / EACH == j / EACH)
                continue;
            scores[t.n] = plainness[i / EACH] + plainness[j / EACH] + 0.7 * rng_normal(&rng);
            list[t.n++] = (Trial){i, j, false};
        }
        for (int64_t k = 0; k < t.n; k++)
            targets[k] = list[k].target;
        DetCurve curve;
        assert_int_equal(det_curve_create(scores, targets, t.n, &curve, NULL), 0);
        double eer = det_eer(&curve, NULL);
        EerInterval interval = eer_interval(&t, scores, N, 1);
        assert_true(interval.low <= eer && eer <= interval.high);
        sum += eer;
        squares += eer * eer;
        width += (interval.high - interval.low) / SETS;
        det_curve_release(&curve);
    }
    double deviation = sqrt((squares - sum * sum / SETS) / (SETS - 1)), believed = width / (2 * 1.96);
    double independent = sqrt(sum / SETS * (1 - sum / SETS) / (SPEAKERS * EACH * (EACH - 1) / 2));
    printf("EER %.4f, scatter %.4f, believed %.4f, were trials independent %.4f\n", sum / SETS, deviation,
           believed, independent);
    assert_true(believed > 0.75 * deviation && believed < 1.35 * deviation && believed > 1.5 * independent);
}

static void edge_cases(void **state)
{
    (void)state;
    const double apart[] = {0, 1}, same[] = {1, 1}, bad[] = {0, NAN};
    const bool targets[] = {false, true}, reversed[] = {true, false};
    DetCurve curve;
    Error error = {0};
    assert_int_equal(det_curve_create(apart, targets, 2, &curve, &error), 0);
    assert_true(det_eer(&curve, NULL) == 0 && det_min_dcf(&curve, 0.01) == 0);
    det_curve_release(&curve);
    assert_int_equal(det_curve_create(apart, reversed, 2, &curve, &error), 0);
    assert_true(det_eer(&curve, NULL) == 1 && det_min_dcf(&curve, 0.01) == 1);
    det_curve_release(&curve);
    assert_int_equal(det_curve_create(same, targets, 2, &curve, &error), 0);
    assert_true(det_eer(&curve, NULL) == 0.5);
    det_curve_release(&curve);
    assert_int_equal(det_curve_create(bad, targets, 2, &curve, &error), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_both_forms),
                                       cmocka_unit_test(names_what_is_wrong),
                                       cmocka_unit_test(reads_any_name),
                                       cmocka_unit_test(refuses_what_it_cannot_tell),
                                       cmocka_unit_test(makes_label_free_trials),
                                       cmocka_unit_test(takes_no_folder_for_a_speaker),
                                       cmocka_unit_test(matches_durations),
                                       cmocka_unit_test(measures_equal_counting),
                                       cmocka_unit_test(interval_is_as_wide_as_the_scatter),
                                       cmocka_unit_test(edge_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
