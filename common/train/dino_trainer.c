// Letters: B utterances of a batch, D embedding, K prototypes, L and S long and short views.
#include "train/dino_trainer.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "losses/regularizers.h"
#include "tensor/ops.h"
#include "train/ema.h"

static const char *const HEAD_PREFIX = "head.";
// Collapse: a teacher whose entropy is this share of ln K says nothing; one whose probabilities vary this
// little between crops says the same of everybody.
static const double UNIFORM_ENTROPY = 0.98, CONSTANT_STD_TIMES_K = 0.01;
enum { COLLAPSE_PATIENCE = 100 }; // steps in a row

typedef struct Network {
    Parameters parameters;
    Encoder *encoder;
    DinoHead *head;
    Tape *tape;
} Network;

struct DinoTrainer {
    DinoOptions options;
    Network student, teacher;
    Tape *part_tape; // of either's encoder, where the batch has parts
    Optimizer optimizer;
    Parameter *last_layer;
    float *center;        // [K]
    Positives *positives; // NULL: the long crops are the anchors' own
    int64_t n_collapsed;  // steps in a row that looked collapsed
    bool warned;
};

static int network_create(Network *network, const DinoOptions *options, bool with_grads, Error *error)
{
    parameters_init(&network->parameters);
    network->tape = tape_create();
    if (!(network->encoder = encoder_create(options->architecture, &network->parameters, error)))
        return -1;
    DinoHeadConfig head = options->head;
    head.input_dim = network->encoder->embedding_dim;
    network->head = dino_head_create(&head, scope_of(&network->parameters, HEAD_PREFIX));
    return parameters_allocate(&network->parameters, (uint64_t)options->seed, with_grads, error);
}

static void network_destroy(Network *network)
{
    if (network->head)
        dino_head_destroy(network->head);
    encoder_destroy(network->encoder);
    parameters_release(&network->parameters);
    tape_destroy(network->tape);
}

static int check_parts(const DinoOptions *options, Error *error)
{
    for (int g = 0; g < 2; g++)
        if (options->groups[g].n_views > 0 &&
            parts_check(options->n_parts, options->groups[g].n_views * options->batch_size, error) < 0)
            return -1;
    return 0;
}

DinoTrainer *dino_trainer_create(const DinoOptions *options, Error *error)
{
    DinoTrainer *t = mem_zero(1, sizeof *t);
    t->options = *options;
    t->part_tape = tape_create();
    if (check_parts(options, error) < 0 || network_create(&t->student, options, true, error) < 0 ||
        network_create(&t->teacher, options, false, error) < 0 ||
        optimizer_init(&t->optimizer, &options->optimizer, &t->student.parameters, error) < 0) {
        dino_trainer_destroy(t);
        return NULL;
    }
    ema_copy(&t->teacher.parameters, &t->student.parameters);
    t->last_layer = parameters_find(&t->student.parameters, "head.last_layer.weight_v");
    t->center = mem_zero((size_t)options->head.n_prototypes, sizeof(float));
    if (options->ssps_every > 0 &&
        !(t->positives = positives_create(options->n_utts, t->teacher.encoder->embedding_dim, error))) {
        dino_trainer_destroy(t);
        return NULL;
    }
    return t;
}

void dino_trainer_destroy(DinoTrainer *t)
{
    if (!t)
        return;
    optimizer_release(&t->optimizer);
    network_destroy(&t->student);
    network_destroy(&t->teacher);
    tape_destroy(t->part_tape);
    positives_destroy(t->positives);
    mem_free(t->center);
    mem_free(t);
}

const Encoder *dino_trainer_encoder(const DinoTrainer *t)
{
    return t->student.encoder;
}

// --- a step

static Parts parts_of(const DinoTrainer *t, Network *network)
{
    return (Parts){network->encoder, &network->parameters, t->part_tape, t->options.n_parts};
}

static Crops crops_of(const DinoTrainer *t, const Network *network, const Batch *batch, int group)
{
    const CropGroup *crops = &t->options.groups[group];
    return (Crops){.values = batch->inputs[group],
                   .rows = crops->n_views * t->options.batch_size,
                   .group = crops,
                   .training = true,
                   .seed = (uint64_t)t->options.seed,
                   .consumer = network == &t->student ? "student" : "teacher",
                   .step = batch->step,
                   .group_number = group};
}

// Embeddings [n_views * B, D] of one group of crops.
static Tensor *embed_group(const DinoTrainer *t, Network *network, const Batch *batch, int group)
{
    Parts parts = parts_of(t, network);
    Crops crops = crops_of(t, network, batch, group);
    return parts_forward(&parts, network->tape, &crops);
}

static int n_groups(const DinoTrainer *t)
{
    return t->options.groups[1].n_views > 0 ? 2 : 1;
}

// Embeddings [(L + S) B, D], long views first; those of the groups in of_group.
static Tensor *student_embed(DinoTrainer *t, const Batch *batch, Tensor *of_group[2])
{
    Network *student = &t->student;
    tape_begin(student->tape, TAPE_RECORD);
    for (int g = 0; g < n_groups(t); g++)
        of_group[g] = embed_group(t, student, batch, g);
    return n_groups(t) == 1 ? of_group[0] : op_concat_first(student->tape, of_group, 2);
}

static void student_backward(DinoTrainer *t, const Batch *batch, Tensor *loss, Tensor *const of_group[2])
{
    Parts parts = parts_of(t, &t->student);
    tape_backward(t->student.tape, loss);
    for (int g = 0; g < n_groups(t); g++) {
        Crops crops = crops_of(t, &t->student, batch, g);
        parts_backward(&parts, &crops, of_group[g]);
    }
}

// loss + the weighted terms that are switched on.
static Tensor *regularize(const DinoTrainer *t, Tensor *embeddings, Tensor *loss, StepDetail *details)
{
    const DinoOptions *options = &t->options;
    const struct {
        const char *name;
        double weight;
        Tensor *(*loss)(Tape *, Tensor *, int64_t);
    } terms[] = {{"variance", options->variance_weight, variance_loss},
                 {"covariance", options->covariance_weight, covariance_loss},
                 {"koleo", options->koleo_weight, koleo_loss}};
    Tape *tape = t->student.tape;
    int64_t n_views = options->groups[0].n_views + options->groups[1].n_views;
    for (size_t i = 0; i < sizeof terms / sizeof terms[0]; i++) {
        if (!(terms[i].weight > 0))
            continue;
        Tensor *term = terms[i].loss(tape, embeddings, n_views);
        loss = op_add(tape, loss, op_scale(tape, term, (float)terms[i].weight));
        *details++ = (StepDetail){terms[i].name, term->data[0]};
    }
    return loss;
}

static Tensor *teacher_forward(DinoTrainer *t, const Batch *batch)
{
    Network *teacher = &t->teacher;
    tape_begin(teacher->tape, TAPE_NO_GRAD);
    Tensor *embeddings = embed_group(t, teacher, batch, 0);
    if (t->positives)
        positives_record(t->positives, batch->positives, t->options.batch_size, t->options.groups[0].n_views,
                         embeddings->data);
    return dino_head_forward(teacher->head, teacher->tape, embeddings, true);
}

static void watch_collapse(DinoTrainer *t, int64_t step, const DinoReport *report)
{
    double n = (double)t->options.head.n_prototypes, entropy = report->teacher_entropy / log(n);
    bool uniform = entropy > UNIFORM_ENTROPY, constant = report->teacher_std * n < CONSTANT_STD_TIMES_K;
    t->n_collapsed = uniform || constant ? t->n_collapsed + 1 : 0;
    if (t->n_collapsed < COLLAPSE_PATIENCE || t->warned)
        return;
    t->warned = true;
    log_warn(
        "step %lld: the teacher has collapsed (entropy %.3f of ln %.0f, deviation %.2g): lower the learning "
        "rate or the teacher temperature, or raise the momentum",
        (long long)step + 1, entropy, n, report->teacher_std);
}

// Clusters are made at ssps_first and every ssps_every steps; a run that resumes between has loaded them.
static int dino_begin(void *trainer, int64_t step, BatchOptions *batches, Error *error)
{
    DinoTrainer *t = trainer;
    const DinoOptions *options = &t->options;
    if (!t->positives)
        return 0;
    int64_t since = step - options->ssps_first, next = options->ssps_first;
    if (since >= 0) {
        next = step - since % options->ssps_every + options->ssps_every;
        positives_index(t->positives);
        if (since % options->ssps_every == 0 &&
            positives_cluster(t->positives, options->ssps_clusters, options->seed, error) < 0)
            return -1;
        batches->positives = t->positives;
    }
    if (next < batches->end_step)
        batches->end_step = next;
    return 0;
}

static int dino_step(void *trainer, const Batch *batch, StepReport *report, Error *error)
{
    (void)error;
    DinoTrainer *t = trainer;
    const DinoOptions *options = &t->options;
    int64_t step = batch->step;
    t->last_layer->trainable = t->last_layer->tensor.needs_grad = step >= options->last_layer_frozen;

    Tensor *of_group[2], *targets = teacher_forward(t, batch);
    Tensor *embeddings = student_embed(t, batch, of_group);
    Tensor *predictions = dino_head_forward(t->student.head, t->student.tape, embeddings, true);
    DinoLoss loss_options = {.n_teacher_views = options->groups[0].n_views,
                             .n_student_views = options->groups[0].n_views + options->groups[1].n_views,
                             .student_temperature = options->student_temperature,
                             .teacher_temperature = schedule_at(&options->teacher_temperature, step)};
    DinoReport seen;
    Tensor *loss = dino_loss(t->student.tape, predictions, targets, t->center, &loss_options, &seen);
    *report =
        (StepReport){.details = {{"entropy", seen.teacher_entropy / log((double)options->head.n_prototypes)},
                                 {"std", seen.teacher_std * (double)options->head.n_prototypes}}};
    loss = regularize(t, embeddings, loss, report->details + 2);
    parameters_zero_grads(&t->student.parameters);
    student_backward(t, batch, loss, of_group);

    double rate = schedule_at(&options->learning_rate, step);
    report->loss = loss->data[0];
    report->gradient_norm = gradients_clip_each(&t->student.parameters, options->clip_norm);
    report->learning_rate = rate;
    report->arena_bytes = tape_peak_bytes(t->student.tape) + tape_peak_bytes(t->teacher.tape);
    report->part_bytes = tape_peak_bytes(t->part_tape);
    optimizer_step(&t->optimizer, rate);
    dino_center_update(t->center, targets, options->center_momentum);
    ema_update(&t->teacher.parameters, &t->student.parameters, schedule_at(&options->momentum, step));
    watch_collapse(t, step, &seen);
    return 0;
}

void dino_trainer_attach(DinoTrainer *t, TrainLoop *loop)
{
    Parameters *student = &t->student.parameters, *teacher = &t->teacher.parameters;
    const Positives *memory = t->positives;
    loop->trainer = t;
    loop->begin = dino_begin;
    loop->step = dino_step;
    loop->batches.input = t->student.encoder->input;
    loop->batches.n_groups = n_groups(t);
    memcpy(loop->batches.groups, t->options.groups, sizeof t->options.groups);
    const StateItem items[] = {
        state_floats("student.values", student->n_values, student->values),
        state_floats("student.buffers", student->n_buffers, student->buffers),
        state_floats("teacher.values", teacher->n_values, teacher->values),
        state_floats("teacher.buffers", teacher->n_buffers, teacher->buffers),
        state_floats("center", t->options.head.n_prototypes, t->center),
        state_count("optimizer.steps", &t->optimizer.n_steps, INT64_MAX),
        state_floats("optimizer.first", t->optimizer.first ? student->n_values : 0, t->optimizer.first),
        state_floats("optimizer.second", t->optimizer.second ? student->n_values : 0, t->optimizer.second),
        state_floats("positives.memory", memory ? memory->n_utts * memory->dim : 0,
                     memory ? memory->memory : NULL),
        state_numbers("positives.cluster", memory ? memory->n_utts : 0, memory ? memory->cluster : NULL, -1,
                      memory ? memory->n_utts - 1 : 0)};
    loop->n_state = 0;
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
        if (items[i].n > 0)
            loop->state[loop->n_state++] = items[i];
}

int dino_trainer_publish(const DinoTrainer *t, const char *path, const ModelInfo *info, Error *error)
{
    return model_publish(path, &t->teacher.parameters, HEAD_PREFIX, info, error);
}
