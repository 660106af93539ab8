// The terms that keep embeddings apart: plain references in double, central differences, and batches whose
// rows coincide.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gradcheck.h"
#include "losses/regularizers.h"

// V views of B samples, D dimensions
enum { V = 2, B = 5, D = 4 };

typedef Tensor *Loss(Tape *tape, Tensor *x, int64_t n_views);

typedef struct Case {
    Loss *loss;
    int64_t n_views;
} Case;

static Tensor *build(Tape *tape, Tensor *const *leaves, const void *context)
{
    const Case *c = context;
    return c->loss(tape, leaves[0], c->n_views);
}

// Of dimensions i and j over the samples of one view.
static double covariance(const float *x, int64_t samples, int i, int j)
{
    double mean_i = 0, mean_j = 0, sum = 0;
    for (int64_t b = 0; b < samples; b++) {
        mean_i += x[b * D + i] / (double)samples;
        mean_j += x[b * D + j] / (double)samples;
    }
    for (int64_t b = 0; b < samples; b++)
        sum += (x[b * D + i] - mean_i) * (x[b * D + j] - mean_j);
    return sum / (double)(samples - 1);
}

static double plain_variance(const float *x, int64_t samples)
{
    double sum = 0;
    for (int d = 0; d < D; d++)
        sum += fmax(0, 1 - sqrt(covariance(x, samples, d, d) + 1e-4));
    return sum / D;
}

static double plain_covariance(const float *x, int64_t samples)
{
    double sum = 0;
    for (int i = 0; i < D; i++)
        for (int j = 0; j < D; j++)
            sum += i == j ? 0 : pow(covariance(x, samples, i, j), 2);
    return sum / D;
}

// Between the rows' directions.
static double distance(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (int d = 0; d < D; d++) {
        ab += (double)a[d] * b[d];
        aa += (double)a[d] * a[d];
        bb += (double)b[d] * b[d];
    }
    return sqrt(2 - 2 * ab / sqrt(aa * bb));
}

// The nearest and the second nearest of the other rows.
static void two_nearest(const float *x, int64_t samples, int64_t row, double nearest[2])
{
    nearest[0] = nearest[1] = INFINITY;
    for (int64_t other = 0; other < samples; other++) {
        double d = other == row ? INFINITY : distance(x + row * D, x + other * D);
        if (d < nearest[0]) {
            nearest[1] = nearest[0];
            nearest[0] = d;
        } else {
            nearest[1] = fmin(nearest[1], d);
        }
    }
}

static double plain_koleo(const float *x, int64_t samples)
{
    double sum = 0, nearest[2];
    for (int64_t row = 0; row < samples; row++) {
        two_nearest(x, samples, row, nearest);
        sum -= log(nearest[0]);
    }
    return sum / (double)samples;
}

// Whether a step of the gradient check stays clear of every kink and of where the slope turns quickly.
typedef bool IsClear(const float *x, int64_t samples);

static bool is_clear_of_hinge(const float *x, int64_t samples)
{
    for (int d = 0; d < D; d++) {
        double deviation = sqrt(covariance(x, samples, d, d));
        if (deviation < 0.5 || fabs(deviation - 1) < 0.1)
            return false;
    }
    return true;
}

// Long rows, the nearest neighbour clearly the nearest and not too near.
static bool is_clear_of_ties(const float *x, int64_t samples)
{
    for (int64_t row = 0; row < samples; row++) {
        double nearest[2], squares = 0;
        for (int d = 0; d < D; d++)
            squares += (double)x[row * D + d] * x[row * D + d];
        two_nearest(x, samples, row, nearest);
        if (squares < 4 * 4 || nearest[0] < 0.4 || nearest[1] - nearest[0] < 0.1)
            return false;
    }
    return true;
}

// [V * samples, D]
static Tensor *draw_rows(const char *name, int64_t samples, float scale, IsClear *is_clear)
{
    for (uint64_t attempt = 0;; attempt++) {
        Rng rng = rng_stream(test_seed(), name, attempt, 0);
        Tensor *x = leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){V * samples, D}, 0);
        for (int64_t i = 0; i < V * samples * D; i++)
            x->data[i] *= scale;
        bool clear = true;
        for (int view = 0; is_clear && view < V; view++)
            clear = clear && is_clear(x->data + view * samples * D, samples);
        if (clear)
            return x;
        leaf_destroy(x);
    }
}

typedef struct Term {
    Loss *loss;
    double (*plain)(const float *x, int64_t samples);
    IsClear *is_clear;
    float scale;
} Term;

static const Term VARIANCE = {variance_loss, plain_variance, is_clear_of_hinge, 1},
                  COVARIANCE = {covariance_loss, plain_covariance, NULL, 1},
                  KOLEO = {koleo_loss, plain_koleo, is_clear_of_ties, 4};

static void check(const char *name, const Term *term, int64_t samples)
{
    Tensor *x = draw_rows(name, samples, term->scale, term->is_clear);
    double expected = 0;
    for (int view = 0; view < V; view++)
        expected += term->plain(x->data + view * samples * D, samples) / V;
    Case c = {term->loss, V};
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    double found = build(tape, &x, &c)->data[0];
    if (!(fabs(found - expected) <= 1e-5 * fmax(1, fabs(expected))))
        fail_msg("%s: %g, should be %g", name, found, expected);
    tape_destroy(tape);
    gradcheck(name, build, &c, &x, 1);
    leaf_destroy(x);
}

static void test_variance(void **state)
{
    (void)state;
    check("variance", &VARIANCE, B);
    check("variance of two", &VARIANCE, 2);
}

static void test_covariance(void **state)
{
    (void)state;
    check("covariance", &COVARIANCE, B);
    check("covariance of two", &COVARIANCE, 2);
}

static void test_koleo(void **state)
{
    (void)state;
    check("koleo", &KOLEO, B);
    check("koleo of two", &KOLEO, 2);
}

// Two samples at right angles: by hand.
static void test_values(void **state)
{
    (void)state;
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *x = tape_input(tape, 2, (int64_t[]){2, 2}, (float[]){1, 0, 0, 3});
    // Deviations sqrt(1/2) and sqrt(9/2), the second above 1; covariance -3/2, squared twice over 2.
    assert_true(fabs(variance_loss(tape, x, 1)->data[0] - (1 - sqrt(0.5 + 1e-4)) / 2) < 1e-6);
    assert_true(fabs(covariance_loss(tape, x, 1)->data[0] - 2.25) < 1e-6);
    assert_true(fabs(koleo_loss(tape, x, 1)->data[0] + log(2) / 2) < 1e-6);
    tape_destroy(tape);
}

// All rows alike, zero ones too: a finite loss and gradient.
static void check_coincident(Loss *loss, float value)
{
    float rows[3 * 2] = {value, -value, value, -value, value, -value};
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_RECORD);
    Tensor *x = tape_input(tape, 2, (int64_t[]){3, 2}, rows);
    x->needs_grad = true;
    Tensor *output = loss(tape, x, 1);
    tape_backward(tape, output);
    assert_true(isfinite(output->data[0]));
    for (int i = 0; i < 6; i++)
        assert_true(isfinite(x->grad[i]));
    tape_destroy(tape);
}

static void test_coincident_rows(void **state)
{
    (void)state;
    Loss *const losses[] = {variance_loss, covariance_loss, koleo_loss};
    for (int i = 0; i < 3; i++) {
        check_coincident(losses[i], 0.7f);
        check_coincident(losses[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variance), cmocka_unit_test(test_covariance),      cmocka_unit_test(test_koleo),
        cmocka_unit_test(test_values),   cmocka_unit_test(test_coincident_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
