#include "train/classifier_trainer.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

enum { ENCODER_GROUP = 0, HEAD_GROUP = 1 };
static const double LOSS_FLOOR = 1e-8; // L / stop(L) of a loss that is 0 has no direction

struct ClassifierTrainer {
    ClassifierOptions options;
    Parameters parameters;
    Encoder *encoder;
    Parameter *classes;      // [n_classes, D]
    Tape *tape, *clean_tape; // clean_tape: of the crops without augmentation
    Optimizer optimizer;
    Gate gate;
    float *start;    // [n_values] what the pull leads back to; NULL without a pull
    int64_t *labels; // [batch_size] of the current step
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

static int warm_start(ClassifierTrainer *t, Error *error)
{
    const char *path = t->options.start_path;
    WarmStart found;
    if (!path)
        return 0;
    // The classes of a new labelling are new.
    const char *skip = t->options.keep_classes ? NULL : CLASSIFIER_PREFIX;
    if (model_warm_start(path, &t->parameters, skip, &found, error) < 0)
        return -1;
    log_info("starts from %s: %lld tensors loaded", path, (long long)found.n_loaded);
    if (found.n_missing > 0)
        log_warn("%s lacks %lld tensors, which start at random: %s", path, (long long)found.n_missing,
                 found.missing);
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

static int build(ClassifierTrainer *t, Error *error)
{
    const ClassifierOptions *options = &t->options;
    if (!(t->encoder = encoder_create(options->architecture, &t->parameters, error)))
        return -1;
    int64_t dims[2] = {options->n_classes, t->encoder->embedding_dim};
    // Xavier's normal, as the reference draws its class weights.
    float deviation = (float)sqrt(2.0 / (double)(dims[0] + dims[1]));
    t->classes = parameters_add(&t->parameters, 2, dims, (Init){INIT_NORMAL, deviation}, "%s",
                                CLASSIFIER_PREFIX "weight");
    t->classes->group = HEAD_GROUP;
    if (parameters_allocate(&t->parameters, (uint64_t)options->seed, true, error) < 0 ||
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
    t->clean_tape = tape_create();
    gate_init(&t->gate, &options->gate);
    t->labels = mem_alloc((size_t)options->batch_size, sizeof(int64_t));
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
    tape_destroy(t->clean_tape);
    gate_release(&t->gate);
    mem_free(t->start);
    mem_free(t->labels);
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

static Tensor *embed(const ClassifierTrainer *t, Tape *tape, const float *crops, const ForwardMode *mode)
{
    const ClassifierOptions *options = &t->options;
    bool is_fbank = t->encoder->input == ENCODER_FBANK;
    int64_t dims[3] = {options->batch_size,
                       is_fbank ? options->crops.n_frames : crop_samples(&options->crops), BATCH_FEATURES};
    return encoder_forward(t->encoder, tape, tape_input(tape, is_fbank ? 3 : 2, dims, crops), mode);
}

// The model's view of the crops without augmentation, as it would be used: nothing is learnt from it.
static const float *embed_clean(ClassifierTrainer *t, const Batch *batch)
{
    tape_begin(t->clean_tape, TAPE_NO_GRAD);
    return embed(t, t->clean_tape, batch->inputs[1], &(ForwardMode){.training = false})->data;
}

static Tensor *forward(ClassifierTrainer *t, const Batch *batch, double margin, AamReport *report)
{
    const ClassifierOptions *options = &t->options;
    const float *clean = gate_corrects(&t->gate, batch->step) ? embed_clean(t, batch) : NULL;
    ForwardMode mode = {.training = true,
                        .rng = rng_stream((uint64_t)options->seed, "dropout", (uint64_t)batch->step, 0)};
    tape_begin(t->tape, TAPE_RECORD);
    Tensor *embeddings = embed(t, t->tape, batch->inputs[0], &mode);
    for (int64_t b = 0; b < options->batch_size; b++)
        t->labels[b] = options->labels[batch->utts[b]];
    LossGate gate;
    AamSoftmax aam = {.margin = margin,
                      .scale = options->scale,
                      .easy_margin = options->easy_margin,
                      .gate = gate_now(&t->gate, clean, &gate)};
    return aam_softmax_loss(t->tape, embeddings, &t->classes->tensor, t->labels, &aam, report);
}

static int classifier_step(void *trainer, const Batch *batch, StepReport *report, Error *error)
{
    (void)error;
    ClassifierTrainer *t = trainer;
    const ClassifierOptions *options = &t->options;
    double margin = margin_at(&options->margin, batch->step);
    AamReport seen;
    gate_begin_step(&t->gate, batch->step);
    Tensor *loss = forward(t, batch, margin, &seen);
    gate_record(&t->gate, batch->utts, seen.losses, options->batch_size);
    parameters_zero_grads(&t->parameters);
    if (t->start) {
        float scale = (float)(1 / fmax(loss->data[0], LOSS_FLOOR));
        tape_backward_from(t->tape, loss, &scale);
        add_pull(t);
    } else {
        tape_backward(t->tape, loss);
    }
    double rate = schedule_at(&options->learning_rate, batch->step);
    *report = (StepReport){
        .loss = loss->data[0],
        .gradient_norm = gradients_clip_global(&t->parameters, options->clip_norm),
        .learning_rate = rate,
        .details = {{"acc", seen.accuracy}, {"acc_margin", seen.accuracy_with_margin}, {"margin", margin}},
        .arena_bytes = tape_peak_bytes(t->tape)};
    if (options->gate.gate_epoch > 0) {
        double batch_size = (double)options->batch_size;
        report->details[3] = (StepDetail){"passed", (double)seen.n_passed / batch_size};
        report->details[4] = (StepDetail){"corrected", (double)seen.n_corrected / batch_size};
    }
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
        {"values", SAFE_F32, p->n_values, p->values},
        {"buffers", SAFE_F32, p->n_buffers, p->buffers},
        {"optimizer.steps", SAFE_I64, 1, &t->optimizer.n_steps},
        {"optimizer.first", SAFE_F32, t->optimizer.first ? p->n_values : 0, t->optimizer.first},
        {"optimizer.second", SAFE_F32, t->optimizer.second ? p->n_values : 0, t->optimizer.second},
        {"gate.threshold", SAFE_F32, t->gate.options.n_utts > 0, &t->gate.threshold},
        {"gate.losses", SAFE_F32, t->gate.options.n_utts, t->gate.log_losses}};
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
