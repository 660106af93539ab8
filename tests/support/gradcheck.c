#include "gradcheck.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/memory.h"

enum { MAX_PLACES = 24 }; // elements of a leaf that are tried; all of them in smaller leaves
// Steps are wide because outputs are float32; extrapolation takes away what that costs (see difference()).
static const float STEP = 0x1p-5f;
static const double FORWARD_TOLERANCE = 1e-5, GRADIENT_TOLERANCE = 2e-4;

uint64_t test_seed(void)
{
    static uint64_t seed;
    if (!seed) {
        const char *given = getenv("VOXLOOP_TEST_SEED");
        seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
        print_message("VOXLOOP_TEST_SEED=%llu\n", (unsigned long long)seed);
    }
    return seed;
}

Tensor *leaf_create(Rng *rng, const int64_t *dims, float gap)
{
    Tensor *leaf = mem_zero(1, sizeof *leaf);
    *leaf = (Tensor){.dim = {1, 1, 1, 1}, .needs_grad = true};
    for (int d = 0; d < TENSOR_MAX_DIMS && dims[d]; d++)
        leaf->dim[leaf->n_dims++] = dims[d];
    size_t n = (size_t)tensor_size(leaf);
    leaf->data = mem_alloc(n, sizeof(float));
    leaf->grad = mem_zero(n, sizeof(float));
    for (size_t i = 0; i < n; i++) {
        float value = (float)rng_normal(rng);
        leaf->data[i] = value + copysignf(gap, value);
    }
    return leaf;
}

void leaf_destroy(Tensor *leaf)
{
    mem_free(leaf->data);
    mem_free(leaf->grad);
    mem_free(leaf);
}

typedef struct Check {
    const char *name;
    GradBuild *build;
    const void *context;
    Tensor *const *leaves;
    int n_leaves;
    Tape *tape;
    float *r;     // [size of the output]
    double noise; // what float32 rounding of the outputs does to sum(out * r), about
} Check;

static Tensor *run(const Check *check, TapeMode mode)
{
    tape_begin(check->tape, mode);
    return check->build(check->tape, check->leaves, check->context);
}

static double projection(const Check *check)
{
    Tensor *out = run(check, TAPE_NO_GRAD);
    double sum = 0;
    for (int64_t i = 0; i < tensor_size(out); i++)
        sum += (double)out->data[i] * check->r[i];
    return sum;
}

static double slope(const Check *check, float *value, float step)
{
    float before = *value;
    *value = before + step;
    double above = projection(check);
    *value = before - step;
    double below = projection(check);
    *value = before;
    return (above - below) / (2.0 * step);
}

// Richardson: the error of a central difference is h^2 f'''/6 + O(h^4); two steps cancel the first term.
static double difference(const Check *check, float *value, float step)
{
    return (4 * slope(check, value, step) - slope(check, value, 2 * step)) / 3;
}

// Rounding inside the operator, which `noise` does not know of, is another one at another step; a wrong
// gradient is wrong at all of them. Returns the difference that comes nearest.
static double nearest_difference(const Check *check, float *value, double backward, double allowed)
{
    const float steps[] = {STEP, 1.37f * STEP, 0.81f * STEP};
    double nearest = INFINITY;
    for (int i = 0; i < 3 && !(fabs(nearest - backward) <= allowed); i++) {
        double numeric = difference(check, value, steps[i]);
        if (i == 0 || fabs(numeric - backward) < fabs(nearest - backward))
            nearest = numeric;
    }
    return nearest;
}

static void draw_projection(Check *check, Rng *rng)
{
    Tensor *out = run(check, TAPE_NO_GRAD);
    int64_t n = tensor_size(out);
    double squares = 0;
    check->r = mem_alloc((size_t)n, sizeof(float));
    for (int64_t i = 0; i < n; i++) {
        check->r[i] = (float)rng_normal(rng);
        squares += pow((double)out->data[i] * check->r[i], 2);
    }
    check->noise = 0x1p-23 * sqrt(squares);
}

// Gradients into leaves->grad, which hold `start` before.
static void backward(const Check *check, float start)
{
    for (int l = 0; l < check->n_leaves; l++)
        for (int64_t i = 0; i < tensor_size(check->leaves[l]); i++)
            check->leaves[l]->grad[i] = start;
    Tensor *out = run(check, TAPE_RECORD);
    tape_backward_from(check->tape, out, check->r);
}

static void check_leaf(const Check *check, int index, Rng *rng)
{
    Tensor *leaf = check->leaves[index];
    int64_t n = tensor_size(leaf), n_places = n < MAX_PLACES ? n : MAX_PLACES;
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)leaf->grad[i]));
    double allowed = GRADIENT_TOLERANCE * largest + 3 * check->noise / (double)STEP;
    for (int64_t p = 0; p < n_places; p++) {
        int64_t i = n_places == n ? p : (int64_t)rng_below(rng, (uint64_t)n);
        double numeric = nearest_difference(check, &leaf->data[i], (double)leaf->grad[i], allowed);
        if (!(fabs(numeric - (double)leaf->grad[i]) <= allowed))
            fail_msg("%s: leaf %d, element %lld: backward %g, central difference %g, allowed %g", check->name,
                     index, (long long)i, (double)leaf->grad[i], numeric, allowed);
    }
}

// Backward once more, on gradients that hold 1 already: they must come out larger by 1.
static void check_accumulates(const Check *check)
{
    float *once[GRADCHECK_MAX_LEAVES];
    for (int l = 0; l < check->n_leaves; l++) {
        int64_t n = tensor_size(check->leaves[l]);
        once[l] = mem_alloc((size_t)n, sizeof(float));
        memcpy(once[l], check->leaves[l]->grad, (size_t)n * sizeof(float));
    }
    backward(check, 1.0f);
    for (int l = 0; l < check->n_leaves; l++) {
        const Tensor *leaf = check->leaves[l];
        for (int64_t i = 0; leaf->needs_grad && i < tensor_size(leaf); i++) {
            double sum = 1.0 + (double)once[l][i];
            if (!(fabs((double)leaf->grad[i] - sum) <= 1e-5 * (1 + fabs((double)once[l][i]))))
                fail_msg("%s: leaf %d, element %lld: %g added to 1 gave %g", check->name, l, (long long)i,
                         (double)once[l][i], (double)leaf->grad[i]);
        }
    }
    for (int l = 0; l < check->n_leaves; l++) {
        backward(check, 0.0f);
        if (memcmp(once[l], check->leaves[l]->grad, (size_t)tensor_size(check->leaves[l]) * sizeof(float)))
            fail_msg("%s: leaf %d: a second run gave other bits", check->name, l);
        mem_free(once[l]);
    }
}

void gradcheck(const char *name, GradBuild *build, const void *context, Tensor *const *leaves, int n_leaves)
{
    Check check = {name, build, context, leaves, n_leaves, tape_create(), NULL, 0};
    Rng rng = rng_stream(test_seed(), name, 1, 0);
    draw_projection(&check, &rng);
    backward(&check, 0.0f);
    for (int l = 0; l < n_leaves; l++)
        if (leaves[l]->needs_grad)
            check_leaf(&check, l, &rng);
    check_accumulates(&check);
    mem_free(check.r);
    tape_destroy(check.tape);
}

static void check_forward(const OperatorCase *c, Tensor *const *leaves)
{
    Tape *tape = tape_create(), *plain = tape_create();
    tape_begin(tape, TAPE_RECORD);
    tape_begin(plain, TAPE_NO_GRAD);
    Tensor *out = c->build(tape, leaves, c->context), *unrecorded = c->build(plain, leaves, c->context);
    int64_t n = tensor_size(out);
    assert_int_equal(tensor_size(unrecorded), n);
    if (memcmp(out->data, unrecorded->data, (size_t)n * sizeof(float)))
        fail_msg("%s: recording changes the output", c->name);
    double *expected = mem_zero((size_t)n, sizeof *expected), largest = 0;
    if (c->reference)
        c->reference(leaves, c->context, expected);
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(expected[i]));
    for (int64_t i = 0; c->reference && i < n; i++)
        if (!(fabs((double)out->data[i] - expected[i]) <= FORWARD_TOLERANCE * largest))
            fail_msg("%s: output %lld of %lld: %.9g, the plain reference says %.9g", c->name, (long long)i,
                     (long long)n, (double)out->data[i], expected[i]);
    mem_free(expected);
    tape_destroy(plain);
    tape_destroy(tape);
}

void operator_check(const OperatorCase *c)
{
    Rng rng = rng_stream(test_seed(), c->name, 0, 0);
    Tensor *leaves[GRADCHECK_MAX_LEAVES] = {0};
    int n_leaves = 0;
    while (n_leaves < GRADCHECK_MAX_LEAVES && c->dims[n_leaves][0]) {
        leaves[n_leaves] = leaf_create(&rng, c->dims[n_leaves], c->gap);
        n_leaves++;
    }
    leaves[0]->needs_grad = !c->no_grad_0;
    check_forward(c, leaves);
    gradcheck(c->name, c->build, c->context, leaves, n_leaves);
    for (int l = 0; l < n_leaves; l++)
        leaf_destroy(leaves[l]);
}
