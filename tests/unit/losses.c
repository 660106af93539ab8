// AAM-softmax and DINO: plain references in double, central differences, and the corners where others have
// divided by zero.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "gradcheck.h"
#include "losses/aam_softmax.h"
#include "losses/dino.h"

// --- AAM-softmax: B batch, N classes, D dimension

enum { B = 6, N = 9, D = 5 };
static const int64_t LABELS[B] = {0, 8, 3, 3, 1, 5};
static const float ROW_LENGTH = 4;

static Tensor *build_aam(Tape *tape, Tensor *const *leaves, const void *context)
{
    return aam_softmax_loss(tape, leaves[0], leaves[1], LABELS, context, NULL);
}

// Rows of random direction, long enough that the steps of a central difference turn them but little.
static Tensor *rows_create(Rng *rng, int64_t rows)
{
    Tensor *leaf = leaf_create(rng, (int64_t[TENSOR_MAX_DIMS]){rows, D}, 0);
    for (float *row = leaf->data; row < leaf->data + rows * D; row += D) {
        double squares = 0;
        for (int d = 0; d < D; d++)
            squares += (double)row[d] * row[d];
        for (int d = 0; d < D; d++)
            row[d] *= ROW_LENGTH / (float)sqrt(squares);
    }
    return leaf;
}

static double cosine(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (int d = 0; d < D; d++) {
        ab += (double)a[d] * b[d];
        aa += (double)a[d] * a[d];
        bb += (double)b[d] * b[d];
    }
    return ab / sqrt(aa * bb);
}

static int64_t subcentres_of(const AamSoftmax *options)
{
    return options->subcentres ? options->subcentres : 1;
}

// Of x [D] and class n's nearest sub-centre; *gap: by how much it is the nearest.
static double class_cosine(const Tensor *weight, const AamSoftmax *options, const float *x, int n,
                           double *gap)
{
    int64_t k = subcentres_of(options);
    double best = -2, second = -3;
    for (int64_t j = 0; j < k; j++) {
        double c = cosine(x, weight->data + (n * k + j) * D);
        second = fmax(second, fmin(c, best));
        best = fmax(best, c);
    }
    *gap = best - second;
    return best;
}

// By angles, as the paper writes it.
static void plain_aam(Tensor *const *leaves, const void *context, double *expected)
{
    const AamSoftmax *options = context;
    double total = 0;
    for (int b = 0; b < B; b++) {
        double sum = 0, target = 0;
        for (int n = 0; n < N; n++) {
            double gap, c = class_cosine(leaves[1], options, leaves[0]->data + b * D, n, &gap),
                        theta = acos(c);
            if (n == LABELS[b] && options->easy_margin)
                c = c > 0 ? cos(theta + options->margin) : c;
            else if (n == LABELS[b])
                c = theta + options->margin < M_PI ? cos(theta + options->margin)
                                                   : c - options->margin * sin(options->margin);
            sum += exp(options->scale * c);
            if (n == LABELS[b])
                target = options->scale * c;
        }
        total += log(sum) - target;
    }
    expected[0] = total / B;
}

// The loss jumps where the margin stops to apply, and its slope where another sub-centre becomes the nearest;
// differences must not straddle that.
static bool is_clear_of_jump(Tensor *const *leaves, const AamSoftmax *options)
{
    double jump = options->easy_margin ? 0 : cos(M_PI - options->margin), gap;
    for (int b = 0; b < B; b++) {
        if (fabs(class_cosine(leaves[1], options, leaves[0]->data + b * D, (int)LABELS[b], &gap) - jump) <
            0.1)
            return false;
        for (int n = 0; n < N; n++) {
            class_cosine(leaves[1], options, leaves[0]->data + b * D, n, &gap);
            if (gap < 0.1)
                return false;
        }
    }
    return true;
}

static void check_aam(const char *name, AamSoftmax options)
{
    Tensor *leaves[2];
    for (uint64_t attempt = 0;; attempt++) {
        Rng rng = rng_stream(test_seed(), name, attempt, 0);
        leaves[0] = rows_create(&rng, B);
        leaves[1] = rows_create(&rng, N * subcentres_of(&options));
        if (is_clear_of_jump(leaves, &options))
            break;
        leaf_destroy(leaves[0]);
        leaf_destroy(leaves[1]);
    }
    double expected;
    plain_aam(leaves, &options, &expected);
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    float loss = build_aam(tape, leaves, &options)->data[0];
    if (!(fabs(loss - expected) <= 1e-5 * fabs(expected)))
        fail_msg("%s: loss %g, by angles %g", name, loss, expected);
    tape_destroy(tape);
    gradcheck(name, build_aam, &options, leaves, 2);
    leaf_destroy(leaves[0]);
    leaf_destroy(leaves[1]);
}

static void test_aam(void **state)
{
    (void)state;
    check_aam("aam", (AamSoftmax){.margin = 0.2, .scale = 8});
    check_aam("aam, no margin", (AamSoftmax){.margin = 0, .scale = 8});
    check_aam("aam, wide margin", (AamSoftmax){.margin = 1.2, .scale = 4});
    check_aam("aam, easy", (AamSoftmax){.margin = 0.3, .scale = 8, .easy_margin = true});
    check_aam("aam, sub-centres", (AamSoftmax){.margin = 0.2, .scale = 8, .subcentres = 3});
}

// Embeddings that equal a class weight, oppose one, or are zero: finite loss and gradients.
static void test_aam_corners(void **state)
{
    (void)state;
    float x[3 * 2] = {1, 0, -1, 0, 0, 0}, w[2 * 2] = {2, 0, 0, 3};
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_RECORD);
    Tensor *embeddings = tape_input(tape, 2, (int64_t[]){3, 2}, x);
    Tensor *weight = tape_input(tape, 2, (int64_t[]){2, 2}, w);
    embeddings->needs_grad = weight->needs_grad = true;
    AamReport report;
    AamSoftmax options = {.margin = 0.2, .scale = 30};
    Tensor *loss = aam_softmax_loss(tape, embeddings, weight, (int64_t[]){0, 0, 1}, &options, &report);
    tape_backward(tape, loss);
    assert_true(isfinite(loss->data[0]));
    for (int i = 0; i < 6; i++)
        assert_true(isfinite(embeddings->grad[i]));
    for (int i = 0; i < 4; i++)
        assert_true(isfinite(weight->grad[i]));
    tape_destroy(tape);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// x [B, D], weight [N, D]: the first half of x turns away from its classes, the other half towards them. A
// gate between their losses stays between them when the gradient check moves an element.
static void part_losses(float *x, const float *weight)
{
    for (int b = 0; b < B; b++)
        for (int d = 0; d < D; d++)
            x[b * D + d] = 0.3f * x[b * D + d] + (b < B / 2 ? -1 : 1) * weight[LABELS[b] * D + d];
}

// Half of the samples pass; of the others those count whose clean embedding lies on a class weight.
static void check_gate(const char *name, bool corrects)
{
    Rng rng = rng_stream(test_seed(), name, 0, 0);
    Tensor *leaves[2] = {rows_create(&rng, B), rows_create(&rng, N)};
    part_losses(leaves[0]->data, leaves[1]->data);
    float clean[B * D] = {0};
    for (int d = 0; d < D; d++)
        clean[0 * D + d] = 9 * leaves[1]->data[4 * D + d]; // sample 0 is surely of class 4
    AamSoftmax options = {.margin = 0, .scale = 8};
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    AamReport report;
    aam_softmax_loss(tape, leaves[0], leaves[1], LABELS, &options, &report);
    double logs[B], sorted[B], expected = 0;
    for (int b = 0; b < B; b++)
        logs[b] = sorted[b] = log(report.losses[b]);
    qsort(sorted, B, sizeof(double), ascending);
    double threshold = (sorted[B / 2 - 1] + sorted[B / 2]) / 2;
    int n_passed = 0, n_corrected = 0;
    for (int b = 0; b < B; b++) {
        bool passes = logs[b] <= threshold, is_corrected = !passes && corrects && b == 0;
        n_passed += passes;
        n_corrected += is_corrected;
        if (passes)
            expected += report.losses[b];
        else if (is_corrected)
            expected += report.losses[b] + report.logits[b * N + LABELS[b]] - report.logits[b * N + 4];
    }
    expected /= corrects ? B : n_passed;

    LossGate gate = {threshold, corrects ? clean : NULL, 0.1, 0.5};
    options.gate = &gate;
    Tensor *loss = aam_softmax_loss(tape, leaves[0], leaves[1], LABELS, &options, &report);
    assert_int_equal(report.n_passed, n_passed);
    assert_int_equal(report.n_corrected, n_corrected);
    if (!(fabs(loss->data[0] - expected) <= 1e-5 * fabs(expected)))
        fail_msg("%s: loss %g, should be %g", name, loss->data[0], expected);
    tape_destroy(tape);
    gradcheck(name, build_aam, &options, leaves, 2);
    leaf_destroy(leaves[0]);
    leaf_destroy(leaves[1]);
}

static void test_gate(void **state)
{
    (void)state;
    check_gate("aam, gated", false);
    check_gate("aam, gated and corrected", true);
}

// Nothing passes: a loss of 0 and no gradient, rather than a division by zero.
static void test_closed_gate(void **state)
{
    (void)state;
    Rng rng = rng_stream(test_seed(), "closed gate", 0, 0);
    Tensor *x = leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){B, D}, 0);
    Tensor *w = leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){N, D}, 0);
    LossGate gate = {-100, NULL, 0.1, 0.5};
    AamSoftmax options = {.margin = 0.2, .scale = 8, .gate = &gate};
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_RECORD);
    Tensor *input = tape_input(tape, 2, (int64_t[]){B, D}, x->data);
    input->needs_grad = true;
    Tensor *loss = aam_softmax_loss(tape, input, w, LABELS, &options, NULL);
    tape_backward(tape, loss);
    assert_true(loss->data[0] == 0);
    for (int i = 0; i < B * D; i++)
        assert_true(input->grad[i] == 0);
    tape_destroy(tape);
    leaf_destroy(x);
    leaf_destroy(w);
}

// Cosines 0.8 and 0.6: right without the margin, wrong with one of 0.5 (cos(acos 0.8 + 0.5) = 0.414).
static void test_aam_accuracy(void **state)
{
    (void)state;
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *x = tape_input(tape, 2, (int64_t[]){1, 2}, (float[]){0.8f, 0.6f});
    Tensor *w = tape_input(tape, 2, (int64_t[]){2, 2}, (float[]){1, 0, 0, 1});
    AamReport report;
    AamSoftmax options = {.margin = 0.5, .scale = 30};
    aam_softmax_loss(tape, x, w, (int64_t[]){0}, &options, &report);
    assert_true(report.accuracy == 1 && report.accuracy_with_margin == 0);
    assert_true(fabs(report.logits[0] / 30 - cos(acos(0.8) + 0.5)) < 1e-5);
    tape_destroy(tape);
}

// --- DINO: V views of S samples, J of them the teacher's, K prototypes

enum { V = 4, J = 2, S = 3, K = 37 };

typedef struct DinoCase {
    DinoLoss options;
    float teacher[J * S * K], center[K];
} DinoCase;

static void softmax(const double *x, double *p)
{
    double largest = x[0], sum = 0;
    for (int k = 1; k < K; k++)
        largest = fmax(largest, x[k]);
    for (int k = 0; k < K; k++)
        sum += p[k] = exp(x[k] - largest);
    for (int k = 0; k < K; k++)
        p[k] /= sum;
}

static Tensor *build_dino(Tape *tape, Tensor *const *leaves, const void *context)
{
    const DinoCase *c = context;
    Tensor *teacher = tape_input(tape, 2, (int64_t[]){J * S, K}, c->teacher);
    return dino_loss(tape, leaves[0], teacher, c->center, &c->options, NULL);
}

// Pair by pair, as the paper writes it.
static void plain_dino(Tensor *const *leaves, const void *context, double *expected)
{
    const DinoCase *c = context;
    double total = 0, p[K], q[K], x[K];
    for (int j = 0; j < J; j++)
        for (int i = 0; i < V; i++)
            for (int s = 0; i != j && s < S; s++) {
                for (int k = 0; k < K; k++)
                    x[k] = (c->teacher[(j * S + s) * K + k] - c->center[k]) / c->options.teacher_temperature;
                softmax(x, p);
                for (int k = 0; k < K; k++)
                    x[k] = leaves[0]->data[(i * S + s) * K + k] / c->options.student_temperature;
                softmax(x, q);
                for (int k = 0; k < K; k++)
                    total -= p[k] * log(q[k]);
            }
    expected[0] = total / (J * (V - 1) * S);
}

static void draw_case(DinoCase *c)
{
    Rng rng = rng_stream(test_seed(), "dino", 0, 0);
    for (int i = 0; i < J * S * K; i++)
        c->teacher[i] = (float)rng_normal(&rng);
    for (int k = 0; k < K; k++)
        c->center[k] = 0.3f * (float)rng_normal(&rng);
}

static void test_dino(void **state)
{
    (void)state;
    static DinoCase c = {.options = {J, V, .student_temperature = 0.7, .teacher_temperature = 0.4}};
    draw_case(&c);
    operator_check(&(OperatorCase){
        .name = "dino", .build = build_dino, .reference = plain_dino, .context = &c, .dims = {{V * S, K}}});
}

// What collapse looks like in the report: all rows alike, and all prototypes alike.
static void test_dino_report(void **state)
{
    (void)state;
    float *zeros = mem_zero(V * S * K, sizeof(float)), center[K] = {0}, peak[J * S * K] = {0};
    for (int r = 0; r < J * S; r++)
        peak[r * K + 5] = 4;
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *student = tape_input(tape, 2, (int64_t[]){V * S, K}, zeros);
    DinoLoss options = {J, V, .student_temperature = 0.1, .teacher_temperature = 0.04};
    DinoReport report;
    Tensor *uniform = tape_input(tape, 2, (int64_t[]){J * S, K}, zeros);
    Tensor *loss = dino_loss(tape, student, uniform, center, &options, &report);
    assert_true(fabs(report.teacher_entropy - log(K)) < 1e-5 && report.teacher_std < 1e-6);
    assert_true(fabs(loss->data[0] - log(K)) < 1e-5);
    Tensor *constant = tape_input(tape, 2, (int64_t[]){J * S, K}, peak);
    dino_loss(tape, student, constant, center, &options, &report);
    assert_true(report.teacher_entropy < 1e-5 && report.teacher_std < 1e-6);
    dino_center_update(center, constant, 0.9);
    assert_true(fabs(center[5] - 0.4) < 1e-6 && center[0] == 0);
    tape_destroy(tape);
    mem_free(zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aam),          cmocka_unit_test(test_aam_corners),
        cmocka_unit_test(test_aam_accuracy), cmocka_unit_test(test_gate),
        cmocka_unit_test(test_closed_gate),  cmocka_unit_test(test_dino),
        cmocka_unit_test(test_dino_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
