// Contrastive and pairwise objectives: plain references in double, central differences, and what class-aware
// attention, hard negatives and the minimum-norm rule promise.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "gradcheck.h"
#include "losses/min_norm.h"
#include "losses/plain.h"
#include "losses/supcon.h"
#include "models/encoder.h"
#include "objectives/objective.h"
#include "tensor/ops.h"

enum { N = 8, D = 6 };
static const int64_t LABELS[N] = {0, 1, 2, 3, 0, 1, 2, 2}; // class 3 has no positive

// Rows of length 4, so that the steps of a central difference turn them but little.
static Tensor *rows_create(uint64_t draw)
{
    Rng rng = rng_stream(test_seed(), "rows", draw, 0);
    Tensor *leaf = leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){N, D}, 0);
    for (int i = 0; i < N; i++) {
        double squares = 0;
        for (int d = 0; d < D; d++)
            squares += (double)leaf->data[i * D + d] * leaf->data[i * D + d];
        for (int d = 0; d < D; d++)
            leaf->data[i * D + d] *= 4 / (float)sqrt(squares);
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

// As the header has it, by angles.
static double plain_supcon(const float *x, const SupCon *options)
{
    double total = 0;
    int n_anchors = 0;
    for (int i = 0; i < N; i++) {
        double sum = 0, positives = 0;
        int n_positives = 0;
        for (int a = 0; a < N; a++) {
            double c = cosine(x + i * D, x + a * D);
            if (a == i)
                continue;
            sum += exp(c / options->temperature);
            if (LABELS[a] != LABELS[i])
                continue;
            positives += cos(acos(c) + options->margin) / options->temperature;
            n_positives++;
        }
        if (n_positives > 0) {
            total += log(sum) - positives / n_positives;
            n_anchors++;
        }
    }
    return total / n_anchors;
}

static Tensor *build_supcon(Tape *tape, Tensor *const *leaves, const void *context)
{
    return supcon_loss(tape, leaves[0], LABELS, context);
}

// The margin's slope jumps where theta + margin reaches pi.
static bool is_clear_of_jump(const float *x, double margin)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++) {
            double c = cosine(x + i * D, x + j * D);
            if (fabs(c - cos(M_PI - margin)) < 0.05 || fabs(c) > 0.99)
                return false;
        }
    return true;
}

static void check_supcon(const char *name, SupCon options)
{
    Tensor *x;
    for (uint64_t draw = 0; x = rows_create(draw), !is_clear_of_jump(x->data, options.margin); draw++)
        leaf_destroy(x);
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    double loss = supcon_loss(tape, x, LABELS, &options)->data[0], expected = plain_supcon(x->data, &options);
    if (!options.class_aware && fabs(loss - expected) > 1e-5 * fmax(fabs(expected), 1))
        fail_msg("%s: loss %.8g, plainly %.8g", name, loss, expected);
    if (!options.class_aware) // no gradient passes through the weights, but a difference does
        gradcheck(name, build_supcon, &options, &x, 1);
    tape_destroy(tape);
    leaf_destroy(x);
}

static void test_supcon(void **state)
{
    (void)state;
    check_supcon("supcon", (SupCon){.temperature = 0.5});
    check_supcon("supcon with a margin", (SupCon){.temperature = 0.5, .margin = 0.2});
}

static void test_identical_rows(void **state)
{
    (void)state;
    Tensor *x = rows_create(0);
    for (int i = 1; i < N; i++)
        memcpy(x->data + i * D, x->data, D * sizeof(float));
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_RECORD);
    Tensor *loss =
        supcon_loss(tape, x, LABELS, &(SupCon){.temperature = 0.07, .margin = 0.2, .class_aware = true});
    tape_backward(tape, loss);
    assert_true(isfinite(loss->data[0]));
    for (int i = 0; i < N * D; i++)
        assert_true(isfinite(x->grad[i]));
    static const int64_t alone[N] = {0, 1, 2, 3, 4, 5, 6, 7};
    assert_true(supcon_loss(tape, x, alone, &(SupCon){.temperature = 0.07})->data[0] == 0);
    tape_destroy(tape);
    leaf_destroy(x);
}

// Two classes near each other and one far off: the near one's share of the push shrinks, the far one's grows.
static void test_class_aware_attention(void **state)
{
    (void)state;
    static const float angles[6] = {0.0f, 0.3f, 2.0f, 0.05f, 0.35f, 2.05f};
    float pull[2][2]; // plain, attentive; gradient at the near class, at the far one
    for (int attentive = 0; attentive < 2; attentive++) {
        Tape *tape = tape_create();
        tape_begin(tape, TAPE_RECORD);
        float rows[6 * 2];
        for (int i = 0; i < 6; i++) {
            rows[2 * i] = cosf(angles[i]);
            rows[2 * i + 1] = sinf(angles[i]);
        }
        Tensor *x = tape_input(tape, 2, (int64_t[]){6, 2}, rows);
        x->needs_grad = true;
        // A label of its own for all but class 0's rows: these alone are anchors.
        static const int64_t anchors[6] = {0, 1, 2, 0, 3, 4};
        SupCon options = {.temperature = 1, .class_aware = attentive};
        tape_backward(tape, supcon_loss(tape, x, anchors, &options));
        for (int c = 1; c < 3; c++) {
            float *g = x->grad + 2 * c;
            pull[attentive][c - 1] = hypotf(g[0], g[1]) / fabsf(sinf(angles[c] - 0.025f));
        }
        tape_destroy(tape);
    }
    assert_true(pull[1][0] < 0.9f * pull[0][0]);
    assert_true(pull[1][1] > 1.1f * pull[0][1]);
}

// --- plain losses, gathering

static Tensor *build_cross_entropy(Tape *tape, Tensor *const *leaves, const void *context)
{
    static const int64_t labels[5] = {0, 2, 1, 1, 0};
    (void)context;
    return cross_entropy_loss(tape, leaves[0], labels);
}

static void plain_cross_entropy(Tensor *const *leaves, const void *context, double *expected)
{
    static const int64_t labels[5] = {0, 2, 1, 1, 0};
    (void)context;
    expected[0] = 0;
    for (int b = 0; b < 5; b++) {
        double sum = 0;
        for (int k = 0; k < 3; k++)
            sum += exp(leaves[0]->data[b * 3 + k]);
        expected[0] += (log(sum) - leaves[0]->data[b * 3 + labels[b]]) / 5;
    }
}

static const float TARGET[4 * 3] = {1, -2, 0.5f, 0, 1, 1, -1, -1, 2, 0.25f, 0, -3};

static Tensor *build_squared_distance(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return squared_distance_loss(tape, leaves[0], TARGET);
}

static void plain_squared_distance(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    expected[0] = 0;
    for (int i = 0; i < 12; i++)
        expected[0] +=
            ((double)leaves[0]->data[i] - TARGET[i]) * ((double)leaves[0]->data[i] - TARGET[i]) / 4;
}

static Tensor *build_gather(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_gather_first(tape, leaves[0], (int64_t[]){3, 0, 3, 1}, 4);
}

static void plain_gather(Tensor *const *leaves, const void *context, double *expected)
{
    static const int index[4] = {3, 0, 3, 1};
    (void)context;
    for (int i = 0; i < 4; i++)
        for (int d = 0; d < 6; d++)
            expected[i * 6 + d] = leaves[0]->data[index[i] * 6 + d];
}

static void test_plain_losses(void **state)
{
    (void)state;
    operator_check(&(OperatorCase){.name = "cross entropy",
                                   .build = build_cross_entropy,
                                   .reference = plain_cross_entropy,
                                   .dims = {{5, 3}}});
    operator_check(&(OperatorCase){.name = "squared distance",
                                   .build = build_squared_distance,
                                   .reference = plain_squared_distance,
                                   .dims = {{4, 3}}});
    operator_check(&(OperatorCase){
        .name = "gather", .build = build_gather, .reference = plain_gather, .dims = {{4, 2, 3}}});
}

// --- the minimum-norm rule

static void test_min_norm(void **state)
{
    (void)state;
    assert_true(min_norm_share((float[]){1, 0}, (float[]){0, 1}, 2) == 0.5);
    assert_true(min_norm_share((float[]){1, 1}, (float[]){1, 1}, 2) == 0.5);
    assert_true(min_norm_share((float[]){1, 0}, (float[]){3, 0}, 2) == 1); // the shorter of two alike
    assert_true(min_norm_share((float[]){3, 0}, (float[]){1, 0}, 2) == 0);
    Rng rng = rng_stream(test_seed(), "min norm", 0, 0);
    for (int draw = 0; draw < 100; draw++) {
        float g1[5], g2[5];
        for (int i = 0; i < 5; i++) {
            g1[i] = (float)rng_normal(&rng);
            g2[i] = 0.5f * (float)rng_normal(&rng);
        }
        double share = min_norm_share(g1, g2, 5), shortest = 0;
        for (int i = 0; i < 5; i++)
            shortest += pow(share * g1[i] + (1 - share) * g2[i], 2);
        for (int step = 0; step <= 20; step++) {
            double other = step / 20.0, squares = 0;
            for (int i = 0; i < 5; i++)
                squares += pow(other * g1[i] + (1 - other) * g2[i], 2);
            assert_true(shortest <= squares + 1e-9);
        }
    }
}

// --- objectives by name

enum { VIEWS = 2, CLASSES = 4, DIM = 16 };

typedef struct Fixture {
    Parameters parameters;
    Objectives objectives;
    float teacher[VIEWS * CLASSES * 5];
} Fixture;

static Tensor *build_objective(Tape *tape, Tensor *const *leaves, const void *context)
{
    static const int64_t labels[VIEWS * CLASSES] = {0, 1, 2, 3, 0, 1, 2, 3};
    const Fixture *fixture = context;
    ObjectiveBatch batch = {.embeddings = leaves[0],
                            .maps = leaves + 1,
                            .teacher = fixture->teacher,
                            .labels = labels,
                            .margin = 0.1};
    ObjectiveReport report = {0};
    Objective *objective = fixture->objectives.items[0];
    return objective->kind->loss(objective, tape, &batch, &report);
}

static void open_objective(Fixture *fixture, const char *name)
{
    ObjectiveOptions options = {.n_classes = CLASSES,
                                .n_views = VIEWS,
                                .embedding_dim = DIM,
                                .n_maps = 2,
                                .map_dim = (int64_t[]){6, 4},
                                .teacher_dim = 5,
                                .aam = {.scale = 4},
                                .contrast = {.temperature = 0.5},
                                .group = 1};
    Error error = {0};
    Rng rng = rng_stream(test_seed(), "teacher", 0, 0);
    for (int i = 0; i < VIEWS * CLASSES * 5; i++)
        fixture->teacher[i] = (float)rng_normal(&rng);
    parameters_init(&fixture->parameters);
    assert_int_equal(objectives_create(name, &options, &fixture->parameters, &fixture->objectives, &error),
                     0);
    for (int64_t p = 0; p < fixture->parameters.n_items; p++) {
        assert_int_equal(fixture->parameters.items[p]->group, 1);
        assert_memory_equal(fixture->parameters.items[p]->name, CLASSIFIER_PREFIX, strlen(CLASSIFIER_PREFIX));
    }
    assert_int_equal(parameters_allocate(&fixture->parameters, test_seed(), true, &error), 0);
}

// All but the pair head, whose ReLU and choice of pairs have kinks.
static void test_gradients(void **state)
{
    (void)state;
    static const char *const SMOOTH[] = {"supcon", "in-batch", "mfcon", "teacher"};
    for (size_t k = 0; k < sizeof SMOOTH / sizeof SMOOTH[0]; k++) {
        Fixture fixture;
        open_objective(&fixture, SMOOTH[k]);
        Rng rng = rng_stream(test_seed(), "objective", k, 0);
        Tensor *leaves[3] = {leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){VIEWS * CLASSES, DIM}, 0),
                             leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){VIEWS * CLASSES, 7, 6}, 0),
                             leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){VIEWS * CLASSES, 5, 4}, 0)};
        gradcheck(SMOOTH[k], build_objective, &fixture, leaves, 3);
        for (int i = 0; i < 3; i++)
            leaf_destroy(leaves[i]);
        objectives_release(&fixture.objectives);
        parameters_release(&fixture.parameters);
    }
}

// What the loss is where the head is a distance, for rows of these directions in a plane. A negative is
// farther than the next view (rows 1, 3 and 7 have none: the farthest) and otherwise as near as can be.
static void test_pair_negatives(void **state)
{
    (void)state;
    static const double DEGREES[VIEWS * CLASSES] = {0, 10, 90, 100, 25, 205, 152, 300};
    static const int NEGATIVES[VIEWS * CLASSES] = {7, 6, 4, 5, 2, 4, 4, 2};
    Fixture fixture;
    open_objective(&fixture, "pair");
    Rng rng = rng_stream(test_seed(), "plane", 0, 0);
    Tensor *x = leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){VIEWS * CLASSES, DIM}, 0);
    memset(x->data, 0, (size_t)tensor_size(x) * sizeof(float));
    for (int i = 0; i < VIEWS * CLASSES; i++) {
        x->data[i * DIM] = (float)cos(DEGREES[i] * M_PI / 180);
        x->data[i * DIM + 1] = (float)sin(DEGREES[i] * M_PI / 180);
    }
    Parameter *weight = parameters_find(&fixture.parameters, CLASSIFIER_PREFIX "pair_head.decide.weight");
    Parameter *bias = parameters_find(&fixture.parameters, CLASSIFIER_PREFIX "pair_head.decide.bias");
    for (int d = 0; d < DIM; d++) {
        weight->tensor.data[d] = 0.1f;
        weight->tensor.data[DIM + d] = -0.1f;
    }
    bias->tensor.data[0] = bias->tensor.data[1] = 0;
    double expected = 0;
    for (int p = 0; p < CLASSES + VIEWS * CLASSES; p++) {
        bool same = p < CLASSES;
        int enrol = same ? p : NEGATIVES[p - CLASSES], test = same ? p + CLASSES : p - CLASSES;
        double distance = 0;
        for (int d = 0; d < 2; d++)
            distance += sqrt(DIM) * fmax(0, x->data[test * DIM + d] - x->data[enrol * DIM + d]);
        expected += log1p(exp(same ? 0.2 * distance : -0.2 * distance)) / (CLASSES + VIEWS * CLASSES);
    }
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    assert_true(fabs(build_objective(tape, &x, &fixture)->data[0] - expected) < 1e-5);
    tape_destroy(tape);
    leaf_destroy(x);
    objectives_release(&fixture.objectives);
    parameters_release(&fixture.parameters);
}

// The pair head learns to tell the pairs of one batch apart.
static void test_pair_head_learns(void **state)
{
    (void)state;
    Fixture fixture;
    open_objective(&fixture, "pair");
    Rng rng = rng_stream(test_seed(), "pairs", 0, 0);
    Tensor *x = leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){VIEWS * CLASSES, DIM}, 0);
    for (int c = 0; c < CLASSES; c++) // the second view is near the first
        for (int d = 0; d < DIM; d++)
            x->data[(CLASSES + c) * DIM + d] = x->data[c * DIM + d] + 0.1f * (float)rng_normal(&rng);
    Tape *tape = tape_create();
    double first = 0, last = 0;
    for (int step = 0; step < 1000; step++) {
        tape_begin(tape, TAPE_RECORD);
        parameters_zero_grads(&fixture.parameters);
        memset(x->grad, 0, (size_t)tensor_size(x) * sizeof(float));
        Tensor *loss = build_objective(tape, &x, &fixture);
        tape_backward(tape, loss);
        last = loss->data[0];
        first = step == 0 ? last : first;
        for (int64_t i = 0; i < fixture.parameters.n_values; i++)
            fixture.parameters.values[i] -= 0.05f * fixture.parameters.grads[i];
    }
    if (!(last < 0.1 && last < first / 3))
        fail_msg("the loss went from %g to %g", first, last);
    tape_destroy(tape);
    leaf_destroy(x);
    objectives_release(&fixture.objectives);
    parameters_release(&fixture.parameters);
}

static void check_refused(const char *text, const char *beginning)
{
    ObjectiveNeeds needs;
    Error error = {0};
    assert_int_equal(objectives_needs(text, &needs, &error), -1);
    if (strncmp(error.text, beginning, strlen(beginning)) != 0)
        fail_msg("'%s': %s", text, error.text);
}

static void test_names(void **state)
{
    (void)state;
    ObjectiveNeeds needs;
    assert_int_equal(objectives_needs("aam=0.8,supcon=0.2", &needs, NULL), 0);
    assert_true(needs.aam && needs.pairs && !needs.maps && !needs.teacher);
    check_refused("aam,tripelt", "objective tripelt is not known; there are aam, supcon,");
    check_refused("aam=,supcon", "objective aam: its weight must be a number above 0");
    check_refused("aam=-1", "objective aam: its weight must be a number above 0");
    check_refused("aam,aam", "objective aam is named twice");
    check_refused("", "no objective is named");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_supcon),
        cmocka_unit_test(test_identical_rows),
        cmocka_unit_test(test_class_aware_attention),
        cmocka_unit_test(test_plain_losses),
        cmocka_unit_test(test_min_norm),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_pair_negatives),
        cmocka_unit_test(test_pair_head_learns),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
