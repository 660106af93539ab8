// Optimisers, clipping, EMA and schedules against torch.optim, sslsv and wespeaker (optim.safetensors).
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/memory.h"
#include "golden.h"
#include "train/ema.h"
#include "train/optimizer.h"
#include "train/schedule.h"

static const char *FILE_NAME = "optim.safetensors";
static const double SCHEDULE_TOLERANCE = 1e-6; // the golden README's

// Every tensor of the file's in.grads.* as a parameter, with the values of param.*.
typedef struct Model {
    Parameters parameters;
    int64_t n_steps;
} Model;

static void open_model(Model *model, const Golden *golden)
{
    Error error = {0};
    const SafeTensor *t;
    parameters_init(&model->parameters);
    for (int64_t i = 0; (t = golden_at(golden, i)); i++) {
        if (strncmp(t->name, "param.", 6) != 0)
            continue;
        Parameter *p =
            parameters_add(&model->parameters, t->n_dims, t->dim, (Init){INIT_ZERO, 0}, "%s", t->name + 6);
        p->decay = true; // the reference optimisers decay everything
    }
    if (parameters_allocate(&model->parameters, 1, true, &error))
        fail_msg("%s", error.text);
    for (int64_t i = 0; i < model->parameters.n_items; i++) {
        Parameter *p = model->parameters.items[i];
        t = golden_find(golden, "param.%s", p->name);
        memcpy(p->tensor.data, t->data, (size_t)t->n_elements * sizeof(float));
        model->n_steps = golden_find(golden, "in.grads.%s", p->name)->dim[0];
    }
}

static void take_gradients(Model *model, const Golden *golden, int64_t step)
{
    for (int64_t i = 0; i < model->parameters.n_items; i++) {
        Parameter *p = model->parameters.items[i];
        const float *grads = golden_find(golden, "in.grads.%s", p->name)->data;
        int64_t n = tensor_size(&p->tensor);
        memcpy(model->parameters.grads + p->offset, grads + step * n, (size_t)n * sizeof(float));
    }
}

// Compares a record [step, ...] of each parameter with out.<case>.<name>.
typedef struct Record {
    float *values[16];
} Record;

static void record_step(Record *record, const Model *model, const float *flat, int64_t step)
{
    for (int64_t i = 0; i < model->parameters.n_items; i++) {
        const Parameter *p = model->parameters.items[i];
        int64_t n = tensor_size(&p->tensor);
        if (step == 0)
            record->values[i] = mem_alloc((size_t)(n * model->n_steps), sizeof(float));
        memcpy(record->values[i] + step * n, flat + p->offset, (size_t)n * sizeof(float));
    }
}

static void check_record(Record *record, const Model *model, const Golden *golden, const char *name)
{
    for (int64_t i = 0; i < model->parameters.n_items; i++) {
        const Parameter *p = model->parameters.items[i];
        char *tensor = mem_printf("out.%s.%s", name, p->name);
        golden_check_group(golden, tensor, record->values[i], tensor_size(&p->tensor) * model->n_steps);
        mem_free(tensor);
        mem_free(record->values[i]);
    }
}

static OptimizerOptions options_of(const cJSON *config)
{
    const char *name = golden_text(config, "optimiser");
    OptimizerOptions options = optimizer_defaults(!strcmp(name, "SGD")    ? OPTIMIZER_SGD
                                                  : !strcmp(name, "Adam") ? OPTIMIZER_ADAM
                                                                          : OPTIMIZER_ADAMW);
    const cJSON *betas = golden_item(config, "betas");
    options.momentum = golden_number_or(config, "momentum", 0);
    options.nesterov = golden_number_or(config, "nesterov", 0) != 0;
    options.weight_decay = golden_number_or(config, "weight_decay", 0);
    options.epsilon = golden_number_or(config, "eps", options.epsilon);
    golden_fixed(config, "dampening", 0);
    golden_fixed(config, "amsgrad", 0);
    golden_fixed_text(config, "lr_at_step_t", "lr*(t+1)/10");
    golden_known(config, "steps", NULL);
    if (betas) {
        options.beta1 = cJSON_GetArrayItem(betas, 0)->valuedouble;
        options.beta2 = cJSON_GetArrayItem(betas, 1)->valuedouble;
    }
    return options;
}

static void check_optimizer(const Golden *golden, const cJSON *config)
{
    Model model = {0};
    Record record;
    Optimizer optimizer;
    Error error = {0};
    OptimizerOptions options = options_of(config);
    bool rising = golden_item(config, "lr_at_step_t") != NULL;
    open_model(&model, golden);
    assert_int_equal(optimizer_init(&optimizer, &options, &model.parameters, &error), 0);
    for (int64_t step = 0; step < model.n_steps; step++) {
        take_gradients(&model, golden, step);
        double rate = golden_number(config, "lr");
        optimizer_step(&optimizer, rising ? rate * (double)(step + 1) / 10 : rate);
        record_step(&record, &model, model.parameters.values, step);
    }
    check_record(&record, &model, golden, config->string);
    optimizer_release(&optimizer);
    parameters_release(&model.parameters);
}

static void check_clipping(const Golden *golden, const cJSON *config)
{
    Model model = {0};
    Record record;
    float norms[64];
    bool each = !strcmp(config->string, "clip_per_param");
    golden_known(config, "rule", "reference", "also", NULL);
    open_model(&model, golden);
    for (int64_t step = 0; step < model.n_steps; step++) {
        take_gradients(&model, golden, step);
        double limit = golden_number(config, "max_norm");
        norms[step] = (float)(each ? gradients_clip_each(&model.parameters, limit)
                                   : gradients_clip_global(&model.parameters, limit));
        record_step(&record, &model, model.parameters.grads, step);
    }
    check_record(&record, &model, golden, config->string);
    if (!each) {
        char *name = mem_printf("out.%s.total_norm", config->string);
        golden_check_group(golden, name, norms, model.n_steps);
        mem_free(name);
    }
    parameters_release(&model.parameters);
}

static void optimizers_and_clipping(void **state)
{
    (void)state;
    Golden *golden = golden_open(FILE_NAME);
    const cJSON *config;
    int n = 0;
    cJSON_ArrayForEach(config, cJSON_GetObjectItem(golden_config(golden), "cases"))
    {
        if (cJSON_HasObjectItem(config, "optimiser"))
            check_optimizer(golden, config);
        else if (!strncmp(config->string, "clip_", 5))
            check_clipping(golden, config);
        else
            continue;
        n++;
    }
    assert_true(n > 0);
    golden_close(golden);
}

static void moving_average(void **state)
{
    (void)state;
    Golden *golden = golden_open(FILE_NAME);
    const cJSON *config = golden_case(golden, "ema");
    golden_known(config, "rule", "reference", NULL);
    const SafeTensor *students = golden_tensor(golden, "in.ema.student");
    int64_t n_steps = students->dim[0], n = students->n_elements / n_steps;
    Parameters teacher, student;
    Error error = {0};
    parameters_init(&teacher);
    parameters_init(&student);
    parameters_add(&teacher, 1, &n, (Init){INIT_ZERO, 0}, "w");
    parameters_add(&student, 1, &n, (Init){INIT_ZERO, 0}, "w");
    assert_int_equal(parameters_allocate(&teacher, 1, false, &error), 0);
    assert_int_equal(parameters_allocate(&student, 1, false, &error), 0);
    float *values = teacher.items[0]->tensor.data;
    memcpy(values, golden_float(golden, "in.ema.teacher0"), (size_t)n * sizeof(float));
    Schedule momentum = {.kind = SCHEDULE_COSINE,
                         .peak = golden_number(config, "start_tau"),
                         .end = golden_number(config, "end_tau"),
                         .length = (int64_t)golden_number(config, "max_steps")};
    float *record = mem_alloc((size_t)(n * n_steps), sizeof(float));
    float *rest = mem_alloc((size_t)n_steps, sizeof(float));
    for (int64_t step = 0; step < n_steps; step++) {
        double tau = schedule_at(&momentum, step);
        memcpy(student.items[0]->tensor.data, (const float *)students->data + step * n,
               (size_t)n * sizeof(float));
        ema_update(&teacher, &student, tau);
        memcpy(record + step * n, values, (size_t)n * sizeof(float));
        rest[step] = (float)(1 - tau);
    }
    golden_check_group(golden, "out.ema.teacher", record, n * n_steps);
    golden_check_group(golden, "out.ema.one_minus_tau", rest, n_steps);
    mem_free(record);
    mem_free(rest);
    parameters_release(&teacher);
    parameters_release(&student);
    golden_close(golden);
}

typedef struct Sizes { // of a schedule case, in steps
    int64_t epoch, total;
    double warmup;
} Sizes;

static Sizes sizes_of(const cJSON *config)
{
    int64_t epoch = (int64_t)golden_number(config, "steps_per_epoch");
    static const char *const NAMES[] = {"warmup_epochs", "warmup_epoch",
                                        "warm_up_epoch"}; // of whoever made them
    double warmup = 0;
    for (int i = 0; i < 3; i++)
        warmup = golden_number_or(config, NAMES[i], warmup);
    return (Sizes){epoch, epoch * (int64_t)golden_number(config, "epochs"), warmup * (double)epoch};
}

static Schedule schedule_of(const cJSON *config)
{
    const char *name = config->string;
    Sizes sizes = sizes_of(config);
    int64_t warmup = (int64_t)sizes.warmup;
    golden_known(config, "rule", "reference", NULL);
    if (!strcmp(name, "lr_sslsv_default")) {
        golden_known(config, "min_lr", NULL); // which this rule does not look at
        return (Schedule){SCHEDULE_STEP, golden_number(config, "init_lr"), .factor = 0.95,
                          .every = 5 * sizes.epoch};
    }
    if (!strcmp(name, "lr_sslsv_cosine"))
        return (Schedule){SCHEDULE_COSINE, golden_number(config, "init_lr"), golden_number(config, "min_lr"),
                          .length = sizes.total};
    if (!strcmp(name, "lr_sslsv_warmup_cosine"))
        return (Schedule){
            SCHEDULE_COSINE,       golden_number(config, "init_lr"), golden_number(config, "min_lr"),
            .length = sizes.total, .warmup_steps = warmup,           .warmup_inclusive = true};
    if (!strcmp(name, "lr_wespeaker_warmup_cosine")) {
        golden_fixed(config, "scale_ratio", 1);
        return (Schedule){SCHEDULE_COSINE, golden_number(config, "max_lr"), golden_number(config, "min_lr"),
                          .length = (int64_t)golden_number(config, "fix_epoch") * sizes.epoch - warmup,
                          .warmup_steps = warmup};
    }
    if (!strncmp(name, "lr_wespeaker_exponential", 24)) {
        double scale = golden_number(config, "scale_ratio");
        bool from_zero = golden_number(config, "warm_from_zero") != 0;
        double start = golden_number(config, "initial_lr");
        return (Schedule){
            SCHEDULE_EXPONENTIAL,  scale * start,          scale * golden_number(config, "final_lr"),
            .length = sizes.total, .warmup_steps = warmup, .warmup_start = from_zero ? 0 : start};
    }
    return (Schedule){SCHEDULE_COSINE,
                      golden_number(config, "base_value"),
                      golden_number(config, "final_value"),
                      .length = sizes.total - warmup,
                      .warmup_steps = warmup,
                      .warmup_start = golden_number_or(config, "start_warmup_value", 0),
                      .warmup_inclusive = true};
}

static void schedules(void **state)
{
    (void)state;
    Golden *golden = golden_open(FILE_NAME);
    const cJSON *config;
    int n_cases = 0;
    cJSON_ArrayForEach(config, cJSON_GetObjectItem(golden_config(golden), "cases"))
    {
        if (strncmp(config->string, "lr_", 3) && strncmp(config->string, "momentum_", 9))
            continue;
        char *name = mem_printf("out.%s", config->string);
        Schedule schedule = schedule_of(config);
        int64_t n = golden_tensor(golden, name)->n_elements;
        float *values = mem_alloc((size_t)n, sizeof(float));
        for (int64_t step = 0; step < n; step++)
            values[step] = (float)schedule_at(&schedule, step);
        golden_check(golden, name, values, n, SCHEDULE_TOLERANCE, 0);
        mem_free(values);
        mem_free(name);
        n_cases++;
    }
    assert_true(n_cases > 0);
    golden_close(golden);
}

static void margins(void **state)
{
    (void)state;
    Golden *golden = golden_open(FILE_NAME);
    const char *names[] = {"margin_wespeaker_exp", "margin_wespeaker_linear"};
    for (int c = 0; c < 2; c++) {
        const cJSON *config = golden_case(golden, names[c]);
        int64_t epoch = (int64_t)golden_number(config, "steps_per_epoch");
        golden_known(config, "epochs", "reference", "rule", NULL);
        MarginSchedule schedule = {// the reference's epochs count from 1
                                   .initial = golden_number(config, "initial_margin"),
                                   .final = golden_number(config, "final_margin"),
                                   .start =
                                       ((int64_t)golden_number(config, "increase_start_epoch") - 1) * epoch,
                                   .end = ((int64_t)golden_number(config, "fix_start_epoch") - 1) * epoch,
                                   .exponential = !strcmp(golden_text(config, "increase_type"), "exp")};
        char *name = mem_printf("out.%s", names[c]);
        int64_t n = golden_tensor(golden, name)->n_elements;
        float *values = mem_alloc((size_t)n, sizeof(float));
        for (int64_t step = 0; step < n; step++)
            values[step] = (float)margin_at(&schedule, step);
        golden_check(golden, name, values, n, SCHEDULE_TOLERANCE, 0);
        mem_free(values);
        mem_free(name);
    }
    golden_close(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(optimizers_and_clipping),
        cmocka_unit_test(moving_average),
        cmocka_unit_test(schedules),
        cmocka_unit_test(margins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
