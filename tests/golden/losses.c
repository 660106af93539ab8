// AAM-softmax, DINO and contrastive losses against the reference implementations (losses.safetensors).
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/memory.h"
#include "golden.h"
#include "losses/aam_softmax.h"
#include "losses/dino.h"
#include "losses/loss_mixture.h"
#include "losses/supcon.h"
#include "tensor/ops.h"
#include "train/schedule.h"

static const char *FILE_NAME = "losses.safetensors";

static Tensor *leaf(Tape *tape, const SafeTensor *t)
{
    Tensor *x = tape_input(tape, t->n_dims, t->dim, t->data);
    x->needs_grad = true;
    return x;
}

static void check(const Golden *golden, const char *kind, const char *name, const char *what,
                  const float *actual, int64_t n)
{
    char *tensor = mem_printf("%s.%s.%s", kind, name, what);
    if (!strcmp(kind, "grad"))
        golden_check_gradient(golden, tensor, actual, n, golden_tolerance(golden, tensor));
    else
        golden_check_group(golden, tensor, actual, n);
    mem_free(tensor);
}

static void check_aam(const Golden *golden, const cJSON *config)
{
    const char *name = config->string;
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_RECORD);
    Tensor *x = leaf(tape, golden_find(golden, "in.%s.x", name));
    Tensor *weight = leaf(tape, golden_find(golden, "param.%s.weight", name));
    const int64_t *labels = golden_find(golden, "in.%s.label", name)->data;
    AamSoftmax options = {.margin = golden_number(config, "margin"),
                          .scale = golden_number(config, "scale"),
                          .easy_margin = golden_number(config, "easy_margin") != 0};
    golden_known(config, "reference", NULL);
    AamReport report;
    Tensor *loss = aam_softmax_loss(tape, x, weight, labels, &options, &report);
    check(golden, "out", name, "logits", report.logits, x->dim[0] * weight->dim[0]);
    check(golden, "out", name, "loss_per_sample", report.losses, x->dim[0]);
    check(golden, "out", name, "loss", loss->data, 1);
    tape_backward(tape, loss);
    check(golden, "grad", name, "x", x->grad, tensor_size(x));
    check(golden, "grad", name, "weight", weight->grad, tensor_size(weight));
    tape_destroy(tape);
}

static void check_flags(const Golden *golden, const char *name, const char *what, const int64_t *actual,
                        int64_t n)
{
    const int32_t *expected = golden_find(golden, "out.%s.%s", name, what)->data;
    for (int64_t i = 0; i < n; i++)
        if (actual[i] != expected[i])
            fail_msg("%s.%s[%lld] is %lld, not %d", name, what, (long long)i, (long long)actual[i],
                     expected[i]);
}

static void check_gate(const Golden *golden, const cJSON *config)
{
    const char *name = config->string;
    enum { LAST_EPOCH_WITHOUT_CORRECTION = 8 }; // the reference's, in config.rule
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_RECORD);
    Tensor *x = leaf(tape, golden_tensor(golden, "in.dlglc.x"));
    Tensor *weight = leaf(tape, golden_tensor(golden, "param.dlglc.weight"));
    const int64_t *labels = golden_integer(golden, "in.dlglc.label");
    golden_known(config, "reference", "rule", "note", "clean_logits", NULL);
    golden_fixed_text(config, "x_clean_gradient", "none");
    bool corrects = golden_number(config, "epoch") > LAST_EPOCH_WITHOUT_CORRECTION;
    LossGate gate = {golden_number(config, "lgl_threshold"),
                     corrects ? golden_float(golden, "in.dlglc.x_clean") : NULL,
                     golden_number(config, "sharpening"), golden_number(config, "lc_threshold")};
    AamSoftmax options = {
        .margin = golden_number(config, "margin"), .scale = golden_number(config, "scale"), .gate = &gate};
    AamReport report;
    Tensor *loss = aam_softmax_loss(tape, x, weight, labels, &options, &report);
    check(golden, "out", name, "ce", report.losses, x->dim[0]);
    check(golden, "out", name, "loss", loss->data, 1);
    tape_backward(tape, loss);
    check(golden, "grad", name, "x", x->grad, tensor_size(x));
    check(golden, "grad", name, "weight", weight->grad, tensor_size(weight));

    int64_t passed[1024], batch = x->dim[0], n_passed = 0, n_corrected = 0;
    const int32_t *correctable = golden_find(golden, "out.%s.mask_lc", name)->data;
    const int32_t *corrected = golden_find(golden, "out.%s.label_lc", name)->data;
    assert_true(batch <= 1024);
    for (int64_t b = 0; b < batch; b++) {
        passed[b] = log(report.losses[b]) <= gate.threshold;
        n_passed += passed[b];
        if (passed[b] || !corrects)
            continue;
        n_corrected += correctable[b];
        assert_int_equal(report.targets[b], correctable[b] ? corrected[b] : -1);
    }
    check_flags(golden, name, "mask_lgl", passed, batch);
    assert_int_equal(report.n_passed, n_passed);
    assert_int_equal(report.n_corrected, n_corrected);
    tape_destroy(tape);
}

static void loss_gate(void **state)
{
    (void)state;
    Golden *golden = golden_open(FILE_NAME);
    const cJSON *config;
    int n_cases = 0;
    cJSON_ArrayForEach(config, cJSON_GetObjectItem(golden_config(golden), "cases"))
    {
        if (strncmp(config->string, "dlglc", 5) != 0)
            continue;
        check_gate(golden, config);
        n_cases++;
    }
    assert_true(n_cases > 0);
    golden_close(golden);
}

// The reference takes the last of 1 000 grid points before the crossing.
static void gate_threshold(void **state)
{
    (void)state;
    Golden *golden = golden_open(FILE_NAME);
    const cJSON *values = golden_values(golden), *config;
    int n_cases = 0;
    cJSON_ArrayForEach(config, cJSON_GetObjectItem(golden_config(golden), "cases"))
    {
        if (strncmp(config->string, "gmm", 3) != 0)
            continue;
        golden_known(config, "reference", "tolerance", "em_iterations", "grid", NULL);
        const SafeTensor *ce = golden_find(golden, "in.%s.ce", config->string);
        float *logs = mem_alloc((size_t)ce->n_elements, sizeof(float));
        for (int64_t i = 0; i < ce->n_elements; i++)
            logs[i] = logf(((const float *)ce->data)[i]);
        LossMixture mixture;
        double threshold;
        assert_int_equal(loss_mixture_fit(logs, ce->n_elements, &mixture, NULL), 0);
        assert_int_equal(loss_mixture_crossing(&mixture, &threshold, NULL), 0);
        char *exact = mem_printf("out.%s.threshold_exact", config->string);
        char *step = mem_printf("out.%s.grid_step", config->string);
        double wanted = atof(golden_text(values, exact)), slack = 2 * atof(golden_text(values, step));
        if (!(fabs(threshold - wanted) <= slack))
            fail_msg("%s: the gate is at %g, not %g", config->string, threshold, wanted);
        mem_free(step);
        mem_free(exact);
        mem_free(logs);
        n_cases++;
    }
    assert_true(n_cases > 0);
    golden_close(golden);
}

static void aam_softmax(void **state)
{
    (void)state;
    Golden *golden = golden_open(FILE_NAME);
    const cJSON *config;
    int n = 0;
    cJSON_ArrayForEach(config, cJSON_GetObjectItem(golden_config(golden), "cases"))
    {
        unsigned number;
        if (sscanf(config->string, "aam%u", &number) != 1)
            continue;
        check_aam(golden, config);
        n++;
    }
    assert_true(n > 0);
    golden_close(golden);
}

// Reference implementations weigh the loss with temperature / base_temperature; the paper has no such factor.
static Tensor *contrast(Tape *tape, Tensor *x, const int64_t *labels, const cJSON *config)
{
    double temperature = golden_number(config, "temperature");
    double base = golden_number_or(config, "base_temperature", temperature);
    golden_known(config, "reference", "samples", "views", "dim", NULL);
    Tensor *loss = supcon_loss(tape, x, labels, &(SupCon){.temperature = temperature});
    return op_scale(tape, loss, (float)(temperature / base));
}

static void check_supcon(const Golden *golden, const cJSON *config)
{
    const char *name = config->string;
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_RECORD);
    Tensor *z = leaf(tape, golden_find(golden, "in.%s.z", name));
    const int64_t *labels = golden_find(golden, "in.%s.label", name)->data;
    Tensor *loss = contrast(tape, z, labels, config);
    check(golden, "out", name, "loss", loss->data, 1);
    tape_backward(tape, loss);
    check(golden, "grad", name, "z", z->grad, tensor_size(z));
    tape_destroy(tape);
}

// Two views, and every utterance a class of its own.
static void check_ntxent(const Golden *golden, const cJSON *config)
{
    const char *name = config->string;
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_RECORD);
    Tensor *z[2] = {leaf(tape, golden_find(golden, "in.%s.z1", name)),
                    leaf(tape, golden_find(golden, "in.%s.z2", name))};
    int64_t n = z[0]->dim[0], *labels = mem_alloc((size_t)(2 * n), sizeof(int64_t));
    for (int64_t i = 0; i < 2 * n; i++)
        labels[i] = i % n;
    Tensor *loss = contrast(tape, op_concat_first(tape, z, 2), labels, config);
    check(golden, "out", name, "loss", loss->data, 1);
    tape_backward(tape, loss);
    check(golden, "grad", name, "z1", z[0]->grad, tensor_size(z[0]));
    check(golden, "grad", name, "z2", z[1]->grad, tensor_size(z[1]));
    mem_free(labels);
    tape_destroy(tape);
}

// The sum of SupCon over all views [sample, view, dim] and AAM-softmax of view 0.
static void check_aamsupcon(const Golden *golden, const cJSON *config)
{
    const char *name = config->string;
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_RECORD);
    Tensor *features = leaf(tape, golden_find(golden, "in.%s.features", name));
    Tensor *weight = leaf(tape, golden_find(golden, "param.%s.weight", name));
    const int64_t *label = golden_find(golden, "in.%s.label", name)->data;
    int64_t n = features->dim[0], n_views = features->dim[1], first[64], labels[64];
    assert_true(n * n_views <= 64);
    for (int64_t i = 0; i < n * n_views; i++)
        labels[i] = label[i / n_views];
    for (int64_t i = 0; i < n; i++)
        first[i] = i * n_views;
    Tensor *x = op_reshape(tape, features, 2, (int64_t[]){n * n_views, features->dim[2]});
    Tensor *supcon = contrast(tape, x, labels, config);
    AamSoftmax options = {.margin = golden_number(config, "margin"), .scale = golden_number(config, "scale")};
    Tensor *aam = aam_softmax_loss(tape, op_gather_first(tape, x, first, n), weight, label, &options, NULL);
    Tensor *loss = op_add(tape, supcon, aam);
    check(golden, "out", name, "supcon_part", supcon->data, 1);
    check(golden, "out", name, "aam_part", aam->data, 1);
    check(golden, "out", name, "loss", loss->data, 1);
    tape_backward(tape, loss);
    check(golden, "grad", name, "features", features->grad, tensor_size(features));
    check(golden, "grad", name, "weight", weight->grad, tensor_size(weight));
    tape_destroy(tape);
}

static void contrastive(void **state)
{
    (void)state;
    Golden *golden = golden_open(FILE_NAME);
    const cJSON *config;
    int n = 0;
    cJSON_ArrayForEach(config, cJSON_GetObjectItem(golden_config(golden), "cases"))
    {
        if (strncmp(config->string, "supcon", 6) == 0)
            n++, check_supcon(golden, config);
        else if (strncmp(config->string, "ntxent", 6) == 0)
            n++, check_ntxent(golden, config);
        else if (strncmp(config->string, "aamsupcon", 9) == 0)
            n++, check_aamsupcon(golden, config);
    }
    assert_int_equal(n, 6);
    golden_close(golden);
}

static Schedule teacher_temperature(const cJSON *config)
{
    return (Schedule){.kind = SCHEDULE_CONSTANT,
                      .peak = golden_number(config, "teacher_temp"),
                      .warmup_start = golden_number(config, "teacher_temp_warmup"),
                      .warmup_steps = (int64_t)golden_number(config, "teacher_temp_warmup_epochs"),
                      .warmup_inclusive = true};
}

static void check_step(const Golden *golden, const char *kind, const char *what, int step,
                       const float *actual, int64_t n)
{
    char *tensor = mem_printf("%s%d", what, step);
    check(golden, kind, "dino", tensor, actual, n);
    mem_free(tensor);
}

static void check_dino_step(const Golden *golden, const cJSON *config, int step, int epoch, float *center)
{
    Schedule temperature = teacher_temperature(config);
    int64_t n_global = (int64_t)golden_number(config, "global_count");
    DinoLoss options = {.n_teacher_views = n_global,
                        .n_student_views = n_global + (int64_t)golden_number(config, "local_count"),
                        .student_temperature = golden_number(config, "student_temp"),
                        .teacher_temperature = schedule_at(&temperature, epoch)};
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_RECORD);
    Tensor *student = leaf(tape, golden_find(golden, "in.dino.student%d", step));
    const SafeTensor *raw = golden_find(golden, "in.dino.teacher%d", step);
    Tensor *teacher = tape_input(tape, raw->n_dims, raw->dim, raw->data);
    DinoReport report;
    Tensor *loss = dino_loss(tape, student, teacher, center, &options, &report);
    dino_center_update(center, teacher, golden_number(config, "center_momentum"));
    check_step(golden, "out", "loss", step, loss->data, 1);
    check_step(golden, "out", "center", step, center, teacher->dim[1]);
    check_step(golden, "out", "teacher_h", step, &(float){(float)report.teacher_entropy}, 1);
    check_step(golden, "out", "teacher_std", step, &(float){(float)report.teacher_std}, 1);
    tape_backward(tape, loss);
    check_step(golden, "grad", "student", step, student->grad, tensor_size(student));
    tape_destroy(tape);
}

static void dino(void **state)
{
    (void)state;
    Golden *golden = golden_open(FILE_NAME);
    const cJSON *config = golden_case(golden, "dino");
    const cJSON *steps = golden_item(config, "steps"), *text; // "step 1: epoch 4"
    golden_known(config, "reference", "samples", "order", "rule", NULL);
    float *center = mem_zero((size_t)golden_number(config, "nb_prototypes"), sizeof(float));
    assert_true(cJSON_GetArraySize(steps) > 0);
    cJSON_ArrayForEach(text, steps)
    {
        int step, epoch;
        assert_int_equal(sscanf(text->valuestring, "step %d: epoch %d", &step, &epoch), 2);
        check_dino_step(golden, config, step, epoch, center);
    }
    mem_free(center);
    golden_close(golden);
}

static void teacher_temperatures(void **state)
{
    (void)state;
    Golden *golden = golden_open(FILE_NAME);
    const cJSON *config = golden_case(golden, "dino");
    golden_known(config, "reference", "samples", "order", "rule", "steps", "global_count", "local_count",
                 "nb_prototypes", "student_temp", "center_momentum", NULL); // of the other test
    Schedule temperature = teacher_temperature(config);
    int64_t n = golden_tensor(golden, "out.dino.teacher_temp")->n_elements;
    float *values = mem_alloc((size_t)n, sizeof(float));
    for (int64_t epoch = 0; epoch < n; epoch++)
        values[epoch] = (float)schedule_at(&temperature, epoch);
    golden_check_group(golden, "out.dino.teacher_temp", values, n);
    mem_free(values);
    golden_close(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aam_softmax),          cmocka_unit_test(loss_gate),
        cmocka_unit_test(gate_threshold),       cmocka_unit_test(dino),
        cmocka_unit_test(teacher_temperatures), cmocka_unit_test(contrastive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
