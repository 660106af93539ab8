// AAM-softmax and DINO against the reference implementations (losses.safetensors).
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/memory.h"
#include "golden.h"
#include "losses/aam_softmax.h"
#include "losses/dino.h"
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
                          .easy_margin = cJSON_IsTrue(cJSON_GetObjectItem(config, "easy_margin"))};
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
    const cJSON *config = cJSON_GetObjectItem(cJSON_GetObjectItem(golden_config(golden), "cases"), "dino");
    const cJSON *steps = cJSON_GetObjectItem(config, "steps"), *text; // "step 1: epoch 4"
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
    const cJSON *config = cJSON_GetObjectItem(cJSON_GetObjectItem(golden_config(golden), "cases"), "dino");
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
        cmocka_unit_test(aam_softmax),
        cmocka_unit_test(dino),
        cmocka_unit_test(teacher_temperatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
