// Every objective is its loss: with options that are nobody's default, the value and all gradients of an
// objective are those of the loss that it names, called directly with the same options. And every option of
// the objectives has an effect on one of them: a field that is copied nowhere fails here.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "gradcheck.h"
#include "losses/plain.h"
#include "losses/unit_rows.h"
#include "models/pair_head.h"
#include "objectives/objective.h"
#include "tensor/ops.h"

enum { CLASSES = 4, VIEWS = 3, ROWS = CLASSES * VIEWS, DIM = 8, TEACHER = 5, LEAVES = 3, GROUP = 3 };
static const int64_t MAP_DIM[] = {6, 4};
static const int64_t MAP_FRAMES[] = {7, 5};

// Nothing here is a default, neither of voxloop-finetune nor of a loss.
static ObjectiveOptions unusual(void)
{
    return (ObjectiveOptions){.n_classes = CLASSES + 2, // more than the batch has
                              .n_views = VIEWS,
                              .embedding_dim = DIM,
                              .n_maps = 2,
                              .map_dim = MAP_DIM,
                              .teacher_dim = TEACHER,
                              .aam = {.scale = 7, .easy_margin = true, .subcentres = 3},
                              .contrast = {.temperature = 0.3, .margin = 0.25},
                              .group = GROUP};
}

// What an objective sees, the same for the objective and for its loss.
typedef struct Scene {
    Tensor *leaves[LEAVES]; // embeddings, two maps
    float teacher[ROWS * TEACHER];
    int64_t labels[ROWS];
    float clean[ROWS * DIM];
    LossGate gate;
    double margin;
} Scene;

static void scene_open(Scene *s)
{
    Rng rng = rng_stream(test_seed(), "objectives", 0, 0);
    s->leaves[0] = leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){ROWS, DIM}, 0);
    for (int m = 0; m < 2; m++)
        s->leaves[1 + m] = leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){ROWS, MAP_FRAMES[m], MAP_DIM[m]}, 0);
    for (int i = 0; i < ROWS * TEACHER; i++)
        s->teacher[i] = (float)rng_normal(&rng);
    for (int i = 0; i < ROWS * DIM; i++)
        s->clean[i] = (float)rng_normal(&rng);
    for (int i = 0; i < ROWS; i++)
        s->labels[i] = i % CLASSES;
    s->gate = (LossGate){.threshold = 2, .clean = s->clean, .sharpening = 2, .confidence = 0.1};
    s->margin = 0.15;
}

static void scene_close(Scene *s)
{
    for (int i = 0; i < LEAVES; i++)
        leaf_destroy(s->leaves[i]);
}

typedef struct Made {
    Parameters parameters;
    Objectives objectives;
} Made;

// The same weights for the same sizes, since they are drawn by name; biases that start at 0 get values, too.
static int make(const char *name, const ObjectiveOptions *options, Made *made, Error *error)
{
    parameters_init(&made->parameters);
    if (objectives_create(name, options, &made->parameters, &made->objectives, error) < 0)
        return -1;
    assert_int_equal(parameters_allocate(&made->parameters, 5, true, error), 0);
    for (int64_t i = 0; i < made->parameters.n_values; i++)
        made->parameters.values[i] += 0.01f * (float)(i % 7 - 3);
    return 0;
}

static void made_release(Made *made)
{
    objectives_release(&made->objectives);
    parameters_release(&made->parameters);
}

static Tensor *weight(const Made *made, const char *name)
{
    char whole[128];
    snprintf(whole, sizeof whole, CLASSIFIER_PREFIX "%s", name);
    return &parameters_find(&made->parameters, whole)->tensor;
}

// --- the losses, called directly

typedef Tensor *Directly(const ObjectiveOptions *options, const Made *made, const Scene *scene, Tape *tape);

static Tensor *direct_aam(const ObjectiveOptions *options, const Made *made, const Scene *s, Tape *tape)
{
    AamSoftmax o = options->aam;
    o.margin = s->margin;
    o.gate = &s->gate;
    return aam_softmax_loss(tape, s->leaves[0], weight(made, "weight"), s->labels, &o, NULL);
}

static Tensor *direct_supcon(const ObjectiveOptions *options, const Made *made, const Scene *s, Tape *tape)
{
    (void)made;
    return supcon_loss(tape, s->leaves[0], s->labels, &options->contrast);
}

static Tensor *direct_supcon_caa(const ObjectiveOptions *options, const Made *made, const Scene *s,
                                 Tape *tape)
{
    (void)made;
    SupCon o = options->contrast;
    o.class_aware = true;
    return supcon_loss(tape, s->leaves[0], s->labels, &o);
}

// Each view against the next, both ways, with the margin and scale of the paper (objectives/in_batch.c).
static Tensor *direct_in_batch(const ObjectiveOptions *options, const Made *made, const Scene *s, Tape *tape)
{
    (void)options, (void)made;
    static const AamSoftmax PAPER = {.margin = 0.2, .scale = 10};
    static const int64_t OWN[CLASSES] = {0, 1, 2, 3};
    Tensor *sum = NULL;
    for (int v = 0; v + 1 < VIEWS; v++)
        for (int way = 0; way < 2; way++) {
            Tensor *a = op_slice_first(tape, s->leaves[0], (v + way) * CLASSES, CLASSES);
            Tensor *b = op_slice_first(tape, s->leaves[0], (v + 1 - way) * CLASSES, CLASSES);
            Tensor *one = aam_softmax_loss(tape, a, b, OWN, &PAPER, NULL);
            sum = sum ? op_add(tape, sum, one) : one;
        }
    return op_scale(tape, sum, 1.0f / (2 * (VIEWS - 1)));
}

static double cosine(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (int d = 0; d < DIM; d++) {
        ab += (double)a[d] * b[d];
        aa += (double)a[d] * a[d];
        bb += (double)b[d] * b[d];
    }
    return ab / sqrt(aa * bb);
}

// Semi-hard: the nearest of another class that is farther than the next view; else the farthest of all.
static int64_t negative_of(const Scene *s, int64_t i)
{
    const float *x = s->leaves[0]->data, *own = x + i * DIM;
    double ceiling = cosine(own, x + (i + CLASSES) % ROWS * DIM), best = -2, least = 2;
    int64_t near = -1, far = -1;
    for (int64_t j = 0; j < ROWS; j++) {
        double c = cosine(own, x + j * DIM);
        if (s->labels[j] == s->labels[i])
            continue;
        if (c < ceiling && c > best) {
            best = c;
            near = j;
        }
        if (c < least) {
            least = c;
            far = j;
        }
    }
    return near >= 0 ? near : far;
}

static Tensor *direct_pair(const ObjectiveOptions *options, const Made *made, const Scene *s, Tape *tape)
{
    (void)options;
    enum { SAME = ROWS - CLASSES, PAIRS = SAME + ROWS };
    int64_t *enrol = tape_scratch(tape, PAIRS * sizeof(int64_t)),
            *test = tape_scratch(tape, PAIRS * sizeof(int64_t)),
            *same = tape_scratch(tape, PAIRS * sizeof(int64_t));
    for (int64_t p = 0; p < PAIRS; p++) {
        same[p] = p < SAME;
        enrol[p] = p < SAME ? p : negative_of(s, p - SAME);
        test[p] = p < SAME ? p + CLASSES : p - SAME;
    }
    PairHead head = {
        {.weight = parameters_find(&made->parameters, CLASSIFIER_PREFIX "pair_head.enrol.weight"),
         .bias = parameters_find(&made->parameters, CLASSIFIER_PREFIX "pair_head.enrol.bias")},
        {.weight = parameters_find(&made->parameters, CLASSIFIER_PREFIX "pair_head.decide.weight"),
         .bias = parameters_find(&made->parameters, CLASSIFIER_PREFIX "pair_head.decide.bias")}};
    Tensor *logits = pair_head_forward(&head, tape, op_gather_first(tape, s->leaves[0], enrol, PAIRS),
                                       op_gather_first(tape, s->leaves[0], test, PAIRS));
    return cross_entropy_loss(tape, logits, same);
}

static Tensor *direct_mfcon(const ObjectiveOptions *options, const Made *made, const Scene *s, Tape *tape)
{
    Tensor *sum = NULL;
    for (int m = 0; m < 2; m++) {
        Tensor *x = op_mean_std_time(tape, s->leaves[1 + m], true, 1e-7f);
        x = op_linear(tape, x, weight(made, m ? "mfcon.1.weight" : "mfcon.0.weight"),
                      weight(made, m ? "mfcon.1.bias" : "mfcon.0.bias"));
        Tensor *one = supcon_loss(tape, x, s->labels, &options->contrast);
        sum = sum ? op_add(tape, sum, one) : one;
    }
    return op_scale(tape, sum, 0.5f);
}

static Tensor *direct_teacher(const ObjectiveOptions *options, const Made *made, const Scene *s, Tape *tape)
{
    (void)options;
    float *target = tape_scratch(tape, ROWS * TEACHER * sizeof(float)), norm[ROWS];
    unit_rows(s->teacher, ROWS, TEACHER, target, norm);
    Tensor *x = op_linear(tape, s->leaves[0], weight(made, "teacher.weight"), NULL);
    return squared_distance_loss(tape, op_l2_normalize(tape, x, 1e-12f), target);
}

static const struct {
    const char *name;
    Directly *directly;
} OBJECTIVES[] = {
    {"aam", direct_aam},           {"supcon", direct_supcon}, {"supcon-caa", direct_supcon_caa},
    {"in-batch", direct_in_batch}, {"pair", direct_pair},     {"mfcon", direct_mfcon},
    {"teacher", direct_teacher},
};
enum { N_OBJECTIVES = sizeof OBJECTIVES / sizeof OBJECTIVES[0] };

// --- the comparison

typedef struct Outcome { // the loss and its gradients, leaves first, then parameters
    float loss, *gradients;
    int64_t n;
} Outcome;

static Outcome outcome_of(Made *made, Scene *s, Tape *tape, Tensor *loss)
{
    tape_backward(tape, loss);
    Outcome o = {.loss = loss->data[0], .n = made->parameters.n_values};
    for (int i = 0; i < LEAVES; i++)
        o.n += tensor_size(s->leaves[i]);
    o.gradients = mem_alloc((size_t)o.n, sizeof(float));
    int64_t at = 0;
    for (int i = 0; i < LEAVES; at += tensor_size(s->leaves[i++]))
        memcpy(o.gradients + at, s->leaves[i]->grad, (size_t)tensor_size(s->leaves[i]) * sizeof(float));
    memcpy(o.gradients + at, made->parameters.grads, (size_t)made->parameters.n_values * sizeof(float));
    return o;
}

static void begin(Made *made, Scene *s, Tape *tape)
{
    for (int i = 0; i < LEAVES; i++)
        memset(s->leaves[i]->grad, 0, (size_t)tensor_size(s->leaves[i]) * sizeof(float));
    parameters_zero_grads(&made->parameters);
    tape_begin(tape, TAPE_RECORD);
}

static Outcome by_objective(Made *made, Scene *s, Tape *tape)
{
    begin(made, s, tape);
    ObjectiveBatch batch = {.embeddings = s->leaves[0],
                            .maps = s->leaves + 1,
                            .teacher = s->teacher,
                            .labels = s->labels,
                            .margin = s->margin,
                            .gate = &s->gate};
    ObjectiveReport report = {0};
    Objective *objective = made->objectives.items[0];
    return outcome_of(made, s, tape, objective->kind->loss(objective, tape, &batch, &report));
}

static double largest_difference(const Outcome *a, const Outcome *b)
{
    double largest = fabs((double)a->loss - b->loss);
    for (int64_t i = 0; i < a->n; i++)
        largest = fmax(largest, fabs((double)a->gradients[i] - b->gradients[i]));
    return largest;
}

static void test_objective_is_its_loss(void **state)
{
    (void)state;
    Scene s;
    scene_open(&s);
    for (int k = 0; k < N_OBJECTIVES; k++) {
        Made made;
        Error error = {0};
        ObjectiveOptions options = unusual();
        if (make(OBJECTIVES[k].name, &options, &made, &error) < 0)
            fail_msg("%s: %s", OBJECTIVES[k].name, error.text);
        Tape *tape = tape_create();
        Outcome got = by_objective(&made, &s, tape);
        begin(&made, &s, tape);
        Outcome expected = outcome_of(&made, &s, tape, OBJECTIVES[k].directly(&options, &made, &s, tape));
        double difference = largest_difference(&got, &expected), size = 0;
        for (int64_t i = 0; i < got.n; i++)
            size = fmax(size, fabs(got.gradients[i]));
        assert_true(size > 0);
        if (!(difference <= 1e-6 * fmax(size, fabs(got.loss)))) // sums may be taken in another order
            fail_msg("%s: loss %.9g, directly %.9g; the gradients differ by %.3g of %.3g", OBJECTIVES[k].name,
                     got.loss, expected.loss, difference, size);
        mem_free(got.gradients);
        mem_free(expected.gradients);
        tape_destroy(tape);
        made_release(&made);
    }
    scene_close(&s);
}

// The table of this file is that of the objectives.
static void test_all_are_here(void **state)
{
    (void)state;
    char names[256] = "";
    for (int k = 0; k < N_OBJECTIVES; k++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", k ? ", " : "",
                 OBJECTIVES[k].name);
    assert_string_equal(names, objectives_known());
}

// --- every option

typedef void Change(ObjectiveOptions *o);

#define CHANGE(name, statement)                                                                              \
    static void name(ObjectiveOptions *o)                                                                    \
    {                                                                                                        \
        statement;                                                                                           \
    }
static const int64_t OTHER_MAP_DIM[] = {6, 3};
CHANGE(more_classes, o->n_classes++)
CHANGE(fewer_views, o->n_views = 2)
CHANGE(narrower, o->embedding_dim = DIM - 1)
CHANGE(fewer_maps, o->n_maps = 1)
CHANGE(narrower_map, o->map_dim = OTHER_MAP_DIM)
CHANGE(narrower_teacher, o->teacher_dim = TEACHER - 1)
CHANGE(other_scale, o->aam.scale = 8)
CHANGE(hard_margin, o->aam.easy_margin = false)
CHANGE(one_subcentre, o->aam.subcentres = 1) // the nearest of several is seldom beyond a right angle
CHANGE(fewer_subcentres, o->aam.subcentres = 2)
CHANGE(other_temperature, o->contrast.temperature = 0.4)
CHANGE(other_contrast_margin, o->contrast.margin = 0.3)
CHANGE(other_group, o->group = GROUP + 1)

// The fields in their order, and who shows a change. NULL: the batch brings it, or the objective's name says
// it.
#define FIELD(struct, field) offsetof(struct, field), sizeof(((struct *)0)->field)
typedef struct Field {
    size_t offset, size;
    Change *change;
    const char *objective;
    Change *both; // what holds before and after the change, beside unusual(); NULL: nothing
} Field;
static const Field OPTIONS[] = {
    {FIELD(ObjectiveOptions, n_classes), more_classes, "aam", NULL},
    {FIELD(ObjectiveOptions, n_views), fewer_views, "in-batch", NULL},
    {FIELD(ObjectiveOptions, embedding_dim), narrower, "pair", NULL},
    {FIELD(ObjectiveOptions, n_maps), fewer_maps, "mfcon", NULL},
    {FIELD(ObjectiveOptions, map_dim), narrower_map, "mfcon", NULL},
    {FIELD(ObjectiveOptions, teacher_dim), narrower_teacher, "teacher", NULL},
    {FIELD(ObjectiveOptions, aam), NULL, NULL, NULL},      // AAM below
    {FIELD(ObjectiveOptions, contrast), NULL, NULL, NULL}, // CONTRAST below
    {FIELD(ObjectiveOptions, group), other_group, "aam", NULL},
};
static const Field AAM[] = {
    {FIELD(AamSoftmax, margin), NULL, NULL, NULL}, // of the batch
    {FIELD(AamSoftmax, scale), other_scale, "aam", NULL},
    {FIELD(AamSoftmax, easy_margin), hard_margin, "aam", one_subcentre},
    {FIELD(AamSoftmax, subcentres), fewer_subcentres, "aam", NULL},
    {FIELD(AamSoftmax, gate), NULL, NULL, NULL}, // of the batch
};
static const Field CONTRAST[] = {
    {FIELD(SupCon, temperature), other_temperature, "supcon", NULL},
    {FIELD(SupCon, margin), other_contrast_margin, "supcon", NULL},
    {FIELD(SupCon, class_aware), NULL, NULL, NULL}, // by name
};

static size_t aligned(size_t offset, size_t alignment)
{
    return (offset + alignment - 1) / alignment * alignment;
}

// No field lies between those that are listed, and none behind them.
static void check_complete(const char *name, const Field *fields, size_t n, size_t whole, size_t alignment)
{
    size_t end = 0;
    for (size_t i = 0; i < n; i++) {
        size_t own = fields[i].size >= 8 ? 8 : fields[i].size;
        if (fields[i].offset != aligned(end, own))
            fail_msg("%s has a field before number %zu that this test does not know", name, i);
        end = fields[i].offset + fields[i].size;
    }
    if (aligned(end, alignment) != whole)
        fail_msg("%s has a field behind those that this test knows", name);
}

static int64_t n_weights(const Made *made)
{
    int64_t n = 0;
    for (int64_t i = 0; i < made->parameters.n_items; i++)
        n += tensor_size(&made->parameters.items[i]->tensor);
    return n;
}

// Another loss, other gradients, or other parameters.
static bool has_effect(const Field *field)
{
    Scene s;
    scene_open(&s);
    Tape *tape = tape_create();
    Made before, after;
    ObjectiveOptions options = unusual();
    Error error = {0};
    if (field->both)
        field->both(&options);
    assert_int_equal(make(field->objective, &options, &before, &error), 0);
    field->change(&options);
    assert_int_equal(make(field->objective, &options, &after, &error), 0);
    bool differs = n_weights(&before) != n_weights(&after);
    if (after.parameters.n_items > 0 && before.parameters.items[0]->group != after.parameters.items[0]->group)
        differs = true;
    if (!differs) {
        Outcome a = by_objective(&before, &s, tape), b = by_objective(&after, &s, tape);
        differs = largest_difference(&a, &b) > 1e-4;
        mem_free(a.gradients);
        mem_free(b.gradients);
    }
    made_release(&before);
    made_release(&after);
    tape_destroy(tape);
    scene_close(&s);
    return differs;
}

static void check_effects(const char *name, const Field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fields[i].change && !has_effect(&fields[i]))
            fail_msg("field %zu of %s has no effect on %s", i, name, fields[i].objective);
}

static void test_every_option(void **state)
{
    (void)state;
#define CHECK(struct, fields)                                                                                \
    check_complete(#struct, fields, sizeof fields / sizeof fields[0], sizeof(struct), _Alignof(struct));     \
    check_effects(#struct, fields, sizeof fields / sizeof fields[0])
    CHECK(ObjectiveOptions, OPTIONS);
    CHECK(AamSoftmax, AAM);
    CHECK(SupCon, CONTRAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_here),
        cmocka_unit_test(test_objective_is_its_loss),
        cmocka_unit_test(test_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
