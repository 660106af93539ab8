#include "train/classifier_trainer.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "losses/min_norm.h"

enum { ENCODER_GROUP = 0, HEAD_GROUP = 1 };
static const double LOSS_FLOOR = 1e-8; // L / stop(L) of a loss that is 0 has no direction

struct ClassifierTrainer {
    ClassifierOptions options;
    Parameters parameters;
    Encoder *encoder;
    Objectives objectives;
    Tape *tape, *part_tape;      // of the encoder
    Tape *clean_tape;            // of the crops without augmentation
    Tape *tapes[OBJECTIVES_MAX]; // of the objectives
    Optimizer optimizer;
    Gate gate;
    float *start;    // [n_values] what the pull leads back to; NULL without a pull
    int64_t *labels; // [batch_size] of the current step
    float *teacher;  // [batch_size, teacher_dim] of the current step
};

// --- creation

static int freeze(Parameters *parameters, const char *prefixes, Error *error)
{
    char *copy = mem_strdup(prefixes), *rest = NULL;
    int status = 0;
    for (char *prefix = strtok_r(copy, ",", &rest); prefix; prefix = strtok_r(NULL, ",", &rest)) {
        int64_t n = parameters_freeze(parameters, prefix);
        if (n == 0)
            status = error_set(
                error, "--freeze: no parameter's name starts with %s; voxloop-inspect lists them", prefix);
        else
            log_info("frozen: %lld tensors of %s", (long long)n, prefix);
    }
    mem_free(copy);
    return status;
}

// The classes of a new labelling are new.
static const char *not_started(const ClassifierTrainer *t)
{
    return t->options.keep_classes ? NULL : CLASSIFIER_PREFIX;
}

static int warm_start(ClassifierTrainer *t, Error *error)
{
    const char *path = t->options.start_path;
    WarmStart found;
    if (!path)
        return 0;
    if (model_warm_start(path, &t->parameters, not_started(t), &found, error) < 0)
        return -1;
    log_info("starts from %s: %lld tensors loaded", path, (long long)found.n_loaded);
    if (found.n_missing > 0)
        log_warn("%s lacks %lld tensors, which start at random: %s", path, (long long)found.n_missing,
                 found.missing);
    if (found.n_surplus > 0)
        log_info("%s: %lld tensors are left out, which this model has not: %s", path,
                 (long long)found.n_surplus, found.surplus);
    return 0;
}

static int remember_start(ClassifierTrainer *t, Error *error)
{
    if (!(t->options.pull > 0))
        return 0;
    size_t n = (size_t)t->parameters.n_values;
    t->start = mem_try_alloc(n, sizeof(float), "the weights that training is pulled back to", error);
    if (!t->start)
        return -1;
    memcpy(t->start, t->parameters.values, n * sizeof(float));
    return 0;
}

static int check_balance(const ClassifierTrainer *t, Error *error)
{
    if (!t->options.balance)
        return 0;
    if (t->objectives.n != 2)
        return error_set(error, "--balance needs two objectives, and there are %d in %s", t->objectives.n,
                         t->options.objectives);
    for (int i = 0; i < 2; i++)
        if (t->objectives.items[i]->kind->uses_maps)
            return error_set(error, "--balance compares gradients at the embeddings, and %s sends none there",
                             t->objectives.items[i]->kind->name);
    return 0;
}

static int check_parts(const ClassifierTrainer *t, Error *error)
{
    int64_t n_parts = t->options.n_parts;
    for (int i = 0; i < t->objectives.n && n_parts > 1; i++)
        if (t->objectives.items[i]->kind->uses_maps)
            return error_set(error,
                             "--parts keeps only embeddings, and %s looks at the encoder's feature maps",
                             t->objectives.items[i]->kind->name);
    return parts_check(n_parts, t->options.batch_size, error);
}

static int build(ClassifierTrainer *t, Error *error)
{
    const ClassifierOptions *options = &t->options;
    if (!(t->encoder = encoder_create(options->architecture, &t->parameters, error)))
        return options->start_path ? error_prefix(error, "%s", options->start_path) : -1;
    if (t->encoder->kind->no_gradient)
        return error_set(error, "%s: an encoder %s cannot be fine-tuned", options->start_path,
                         t->encoder->kind->name);
    ObjectiveOptions objective = options->objective;
    objective.embedding_dim = t->encoder->embedding_dim;
    objective.n_maps = t->encoder->n_maps;
    objective.map_dim = t->encoder->map_dim;
    objective.group = HEAD_GROUP;
    if (objectives_create(options->objectives, &objective, &t->parameters, &t->objectives, error) < 0 ||
        check_balance(t, error) < 0 || check_parts(t, error) < 0)
        return -1;
    if ((options->start_path &&
         model_check_start(options->start_path, &t->parameters, not_started(t), error) < 0) ||
        parameters_allocate(&t->parameters, (uint64_t)options->seed, true, error) < 0 ||
        warm_start(t, error) < 0 || remember_start(t, error) < 0)
        return -1;
    if (options->freeze && freeze(&t->parameters, options->freeze, error) < 0)
        return -1;
    return optimizer_init(&t->optimizer, &options->optimizer, &t->parameters, error);
}

ClassifierTrainer *classifier_trainer_create(const ClassifierOptions *options, Error *error)
{
    ClassifierTrainer *t = mem_zero(1, sizeof *t);
    t->options = *options;
    parameters_init(&t->parameters);
    t->tape = tape_create();
    t->part_tape = tape_create();
    t->clean_tape = tape_create();
    for (int i = 0; i < OBJECTIVES_MAX; i++)
        t->tapes[i] = tape_create();
    gate_init(&t->gate, &options->gate);
    t->labels = mem_alloc((size_t)options->batch_size, sizeof(int64_t));
    t->teacher = mem_alloc((size_t)(options->batch_size * options->objective.teacher_dim), sizeof(float));
    if (build(t, error) < 0) {
        classifier_trainer_destroy(t);
        return NULL;
    }
    t->optimizer.group_factor[ENCODER_GROUP] = options->encoder_rate_factor;
    return t;
}

void classifier_trainer_destroy(ClassifierTrainer *t)
{
    if (!t)
        return;
    optimizer_release(&t->optimizer);
    encoder_destroy(t->encoder);
    parameters_release(&t->parameters);
    tape_destroy(t->tape);
    tape_destroy(t->part_tape);
    tape_destroy(t->clean_tape);
    for (int i = 0; i < OBJECTIVES_MAX; i++)
        tape_destroy(t->tapes[i]);
    objectives_release(&t->objectives);
    gate_release(&t->gate);
    mem_free(t->start);
    mem_free(t->labels);
    mem_free(t->teacher);
    mem_free(t);
}

const Encoder *classifier_trainer_encoder(const ClassifierTrainer *t)
{
    return t->encoder;
}

// --- a step

static bool is_pulled(const Parameter *item)
{
    return !item->is_buffer && item->trainable && item->group == ENCODER_GROUP;
}

static double distance_to_start(const ClassifierTrainer *t, const Parameter *item)
{
    const float *now = t->parameters.values + item->offset, *start = t->start + item->offset;
    int64_t n = tensor_size(&item->tensor);
    double squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < n; i++)
        squares += ((double)now[i] - start[i]) * ((double)now[i] - start[i]);
    return sqrt(squares);
}

// Adds pull * d(R / stop(R)); returns R. d||x|| / dx = x / ||x||.
static double add_pull(ClassifierTrainer *t)
{
    double total = 0;
    for (int64_t p = 0; p < t->parameters.n_items; p++)
        if (is_pulled(t->parameters.items[p]))
            total += distance_to_start(t, t->parameters.items[p]);
    for (int64_t p = 0; p < t->parameters.n_items && total > 0; p++) {
        const Parameter *item = t->parameters.items[p];
        double distance = is_pulled(item) ? distance_to_start(t, item) : 0;
        if (!(distance > 0))
            continue;
        float factor = (float)(t->options.pull / (total * distance));
        float *grad = t->parameters.grads + item->offset;
        const float *now = t->parameters.values + item->offset, *start = t->start + item->offset;
        for (int64_t i = 0; i < tensor_size(&item->tensor); i++)
            grad[i] += factor * (now[i] - start[i]);
    }
    return total;
}

static Parts parts_of(ClassifierTrainer *t)
{
    return (Parts){t->encoder, &t->parameters, t->part_tape, t->options.n_parts};
}

static Crops crops_of(const ClassifierTrainer *t, const Batch *batch, int group)
{
    return (Crops){.values = batch->inputs[group],
                   .rows = t->options.batch_size,
                   .group = &t->options.crops,
                   .training = true,
                   .seed = (uint64_t)t->options.seed,
                   .consumer = "dropout",
                   .step = batch->step};
}

// The model's view of the crops without augmentation, as it would be used: nothing is learnt from it.
static const float *embed_clean(ClassifierTrainer *t, const Batch *batch)
{
    Parts parts = parts_of(t);
    Crops crops = crops_of(t, batch, 1);
    crops.training = false;
    tape_begin(t->clean_tape, TAPE_NO_GRAD);
    return parts_forward(&parts, t->clean_tape, &crops)->data;
}

// Labels and the teacher's embeddings of the batch.
static void gather(ClassifierTrainer *t, const int64_t *utts)
{
    const ClassifierOptions *options = &t->options;
    size_t dim = (size_t)options->objective.teacher_dim;
    for (int64_t b = 0; b < options->batch_size; b++) {
        t->labels[b] = options->labels[utts[b]];
        if (dim > 0)
            memcpy(t->teacher + b * (int64_t)dim, options->teacher + utts[b] * (int64_t)dim,
                   dim * sizeof(float));
    }
}

typedef struct Seen { // of a step
    Tensor *embeddings, *maps[ENCODER_MAX_MAPS], *losses[OBJECTIVES_MAX];
    double margin, total; // total: the weighted sum
    double share;         // of the first of two balanced objectives
    ObjectiveReport report;
} Seen;

static void forward(ClassifierTrainer *t, const Batch *batch, Seen *seen)
{
    const float *clean = gate_corrects(&t->gate, batch->step) ? embed_clean(t, batch) : NULL;
    Parts parts = parts_of(t);
    Crops crops = crops_of(t, batch, 0);
    crops.maps = parts.n == 1 ? seen->maps : NULL;
    LossGate gate;
    gather(t, batch->utts);
    tape_begin(t->tape, TAPE_RECORD);
    ObjectiveBatch view = {.embeddings = seen->embeddings = parts_forward(&parts, t->tape, &crops),
                           .maps = seen->maps,
                           .teacher = t->teacher,
                           .labels = t->labels,
                           .margin = seen->margin,
                           .gate = gate_now(&t->gate, clean, &gate)};
    for (int i = 0; i < t->objectives.n; i++) {
        Objective *objective = t->objectives.items[i];
        tape_begin(t->tapes[i], TAPE_RECORD);
        seen->losses[i] = objective->kind->loss(objective, t->tapes[i], &view, &seen->report);
        seen->report.loss[i] = seen->losses[i]->data[0];
        seen->total += objective->weight * seen->report.loss[i];
    }
}

// What every objective sends to the embeddings, and to the maps, adds up.
static void backward_weighted(ClassifierTrainer *t, const Seen *seen)
{
    double scale = t->start ? 1 / fmax(seen->total, LOSS_FLOOR) : 1;
    for (int i = 0; i < t->objectives.n; i++) {
        float seed = (float)(scale * t->objectives.items[i]->weight);
        tape_backward_from(t->tapes[i], seen->losses[i], &seed);
    }
}

// The gradients g[0], g[1] at the embeddings become their shortest mixture.
static void backward_balanced(ClassifierTrainer *t, Seen *seen)
{
    int64_t n = tensor_size(seen->embeddings);
    float *g[2];
    for (int i = 0; i < 2; i++) {
        tape_backward(t->tapes[i], seen->losses[i]);
        float *grad = tape_grad(t->tapes[i], seen->embeddings);
        g[i] = tape_scratch(t->tapes[i], (size_t)n * sizeof(float));
        memcpy(g[i], grad, (size_t)n * sizeof(float));
        memset(grad, 0, (size_t)n * sizeof(float));
    }
    double share = seen->share = min_norm_share(g[0], g[1], n);
    for (int64_t i = 0; i < n; i++)
        seen->embeddings->grad[i] = (float)(share * g[0][i] + (1 - share) * g[1][i]);
}

static void backward_encoder(ClassifierTrainer *t, const Batch *batch, const Tensor *embeddings)
{
    Parts parts = parts_of(t);
    Crops crops = crops_of(t, batch, 0);
    tape_backward_on(t->tape);
    parts_backward(&parts, &crops, embeddings);
}

static void add_detail(StepReport *report, const char *name, double value)
{
    int d = 0;
    while (report->details[d].name)
        d++;
    report->details[d] = (StepDetail){name, value};
}

static void report_details(const ClassifierTrainer *t, const Seen *seen, StepReport *report)
{
    const AamReport *aam = &seen->report.aam;
    double batch_size = (double)t->options.batch_size;
    if (aam->losses) {
        add_detail(report, "acc", aam->accuracy);
        add_detail(report, "acc_margin", aam->accuracy_with_margin);
        add_detail(report, "margin", seen->margin);
    }
    if (t->options.gate.gate_epoch > 0) {
        add_detail(report, "passed", (double)aam->n_passed / batch_size);
        add_detail(report, "corrected", (double)aam->n_corrected / batch_size);
    }
    for (int i = 0; i < t->objectives.n && t->objectives.n > 1; i++)
        add_detail(report, t->objectives.items[i]->kind->name, seen->report.loss[i]);
    if (t->options.balance)
        add_detail(report, "share", seen->share);
}

static size_t arena_bytes(const ClassifierTrainer *t)
{
    size_t bytes = tape_peak_bytes(t->tape);
    for (int i = 0; i < t->objectives.n; i++)
        bytes += tape_peak_bytes(t->tapes[i]);
    return bytes;
}

static int classifier_step(void *trainer, const Batch *batch, StepReport *report, Error *error)
{
    (void)error;
    ClassifierTrainer *t = trainer;
    const ClassifierOptions *options = &t->options;
    Seen seen = {.margin = margin_at(&options->margin, batch->step)};
    gate_begin_step(&t->gate, batch->step);
    forward(t, batch, &seen);
    if (seen.report.aam.losses)
        gate_record(&t->gate, batch->utts, seen.report.aam.losses, options->batch_size);
    parameters_zero_grads(&t->parameters);
    if (options->balance)
        backward_balanced(t, &seen);
    else
        backward_weighted(t, &seen);
    backward_encoder(t, batch, seen.embeddings);
    if (t->start)
        add_pull(t);
    double rate = schedule_at(&options->learning_rate, batch->step);
    *report = (StepReport){.loss = seen.total,
                           .gradient_norm = gradients_clip_global(&t->parameters, options->clip_norm),
                           .learning_rate = rate,
                           .arena_bytes = arena_bytes(t),
                           .part_bytes = tape_peak_bytes(t->part_tape)};
    report_details(t, &seen, report);
    optimizer_step(&t->optimizer, rate);
    return 0;
}

void classifier_trainer_attach(ClassifierTrainer *t, TrainLoop *loop)
{
    const Parameters *p = &t->parameters;
    loop->trainer = t;
    loop->step = classifier_step;
    loop->batches.input = t->encoder->input;
    loop->batches.groups[0] = loop->batches.groups[1] = t->options.crops;
    loop->batches.groups[1].clean = true;
    loop->batches.n_groups = t->options.gate.correct_epoch > 0 ? 2 : 1;
    const StateItem items[] = {
        state_floats("values", p->n_values, p->values),
        state_floats("buffers", p->n_buffers, p->buffers),
        state_count("optimizer.steps", &t->optimizer.n_steps, INT64_MAX),
        state_floats("optimizer.first", t->optimizer.first ? p->n_values : 0, t->optimizer.first),
        state_floats("optimizer.second", t->optimizer.second ? p->n_values : 0, t->optimizer.second),
        state_floats("gate.threshold", t->gate.options.n_utts > 0, &t->gate.threshold),
        state_floats("gate.losses", t->gate.options.n_utts, t->gate.log_losses)};
    loop->n_state = 0;
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
        if (items[i].n > 0)
            loop->state[loop->n_state++] = items[i];
}

const Gate *classifier_trainer_gate(const ClassifierTrainer *t)
{
    return &t->gate;
}

int classifier_trainer_publish(const ClassifierTrainer *t, const char *path, const ModelInfo *info,
                               Error *error)
{
    return model_publish(path, &t->parameters, NULL, info, error);
}
