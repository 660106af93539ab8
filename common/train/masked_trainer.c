// B batch, T frames of the encoder, K clusters, D dimensions of what is clustered.
#include "train/masked_trainer.h"

#include <math.h>
#include <string.h>

#include "audio/front_end.h"
#include "base/log.h"
#include "base/memory.h"
#include "cluster/kmeans.h"
#include "models/wavlm_encoder.h"
#include "nn/layers.h"
#include "tensor/attention.h"
#include "tensor/gemm.h"
#include "train/parts.h"

enum {
    PROJECTION = 256,
    FRAMES_PER_CLUSTER = 200,
    FBANK_PER_FRAME = 2
}; // 10 ms frames in the encoder's 20 ms
static const double TEMPERATURE = 0.1;
static const EncoderInput LOG_MEL = ENCODER_FBANK; // what is clustered where there is no target model

struct MaskedTrainer {
    MaskedOptions options;
    Parameters parameters;
    Encoder *encoder;
    LoadedEncoder target; // encoder NULL: log-mel frames
    Affine project;
    Parameter *labels;
    Tape *tape, *target_tape;
    Optimizer optimizer;
    FrontEnd *log_mel; // of the targets; NULL: what the encoder takes is that
    int64_t n_frames;  // T
    int64_t dim;       // D
    float *centroids;  // [K, D]
    int64_t has_centroids;
    bool *mask;               // [B, T]
    int64_t *rows, *clusters; // [B * T] the masked frames, and theirs
    float *features;          // [B, T, D] of the step's clean crops
};

// --- creation

static int check_encoder(const Encoder *encoder, const char *whose, Error *error)
{
    if (encoder->kind == &wavlm_encoder_kind)
        return 0;
    return error_set(error, "masked prediction is for the encoder wavlm, and %s is %s", whose,
                     encoder->kind->name);
}

static int load_target(MaskedTrainer *t, Error *error)
{
    const MaskedOptions *options = &t->options;
    t->dim = front_end_shape(LOG_MEL, 0).width;
    if (!options->target_path)
        return 0;
    if (encoder_load(options->target_path, &t->target, error) < 0 ||
        check_encoder(t->target.encoder, options->target_path, error) < 0)
        return -1;
    const WavlmConfig *config = &wavlm_encoder_architecture(t->target.encoder)->wavlm;
    if (t->target.encoder->input != t->encoder->input || options->target_layer > config->layers)
        return error_set(error, "%s: has %lld layers and another front end, or too few layers for layer %lld",
                         options->target_path, (long long)config->layers, (long long)options->target_layer);
    t->dim = config->dim;
    return 0;
}

static int declare(MaskedTrainer *t, Error *error)
{
    const MaskedOptions *options = &t->options;
    WarmStart found;
    if (!(t->encoder = encoder_create(options->architecture, &t->parameters, error)) ||
        check_encoder(t->encoder, "this one", error) < 0)
        return -1;
    int64_t dim = wavlm_encoder_architecture(t->encoder)->wavlm.dim;
    Scope scope = scope_of(&t->parameters, CLASSIFIER_PREFIX);
    t->project = affine_declare(scope_enter(&scope, "final_proj"), 2, (int64_t[]){PROJECTION, dim}, true);
    t->labels = scope_parameter(&scope, "label_embs", 2, (int64_t[]){options->n_clusters, PROJECTION},
                                (Init){INIT_UNIFORM, 1});
    if ((options->start_path &&
         model_check_start(options->start_path, &t->parameters, CLASSIFIER_PREFIX, error) < 0) ||
        parameters_allocate(&t->parameters, (uint64_t)options->seed, true, error) < 0)
        return -1;
    parameters_freeze(&t->parameters, "backend.");
    return options->start_path
               ? model_warm_start(options->start_path, &t->parameters, CLASSIFIER_PREFIX, &found, error)
               : 0;
}

static void allocate(MaskedTrainer *t)
{
    const MaskedOptions *options = &t->options;
    t->n_frames = wavlm_front_end_frames(&wavlm_encoder_architecture(t->encoder)->wavlm.front_end,
                                         crop_shape(t->encoder->input, &options->crops).length);
    size_t n = (size_t)(options->batch_size * t->n_frames);
    t->mask = mem_alloc(n, sizeof(bool));
    t->rows = mem_alloc(n, sizeof(int64_t));
    t->clusters = mem_alloc(n, sizeof(int64_t));
    t->features = mem_alloc(n, (size_t)t->dim * sizeof(float));
    t->centroids = mem_zero((size_t)options->n_clusters, (size_t)t->dim * sizeof(float));
    if (t->encoder->input != LOG_MEL)
        t->log_mel = front_end_create(LOG_MEL);
}

MaskedTrainer *masked_trainer_create(const MaskedOptions *options, Error *error)
{
    MaskedTrainer *t = mem_zero(1, sizeof *t);
    t->options = *options;
    parameters_init(&t->parameters);
    t->tape = tape_create();
    t->target_tape = tape_create();
    if (declare(t, error) < 0 || load_target(t, error) < 0 ||
        optimizer_init(&t->optimizer, &options->optimizer, &t->parameters, error) < 0) {
        masked_trainer_destroy(t);
        return NULL;
    }
    allocate(t);
    return t;
}

void masked_trainer_destroy(MaskedTrainer *t)
{
    if (!t)
        return;
    optimizer_release(&t->optimizer);
    encoder_destroy(t->encoder);
    parameters_release(&t->parameters);
    if (t->target.encoder)
        loaded_encoder_release(&t->target);
    tape_destroy(t->tape);
    tape_destroy(t->target_tape);
    front_end_destroy(t->log_mel);
    mem_free(t->mask);
    mem_free(t->rows);
    mem_free(t->clusters);
    mem_free(t->features);
    mem_free(t->centroids);
    mem_free(t);
}

const Encoder *masked_trainer_encoder(const MaskedTrainer *t)
{
    return t->encoder;
}

// --- targets

static Tensor *input_of(const MaskedTrainer *t, Tape *tape, const float *values)
{
    Crops crops = {.values = values, .rows = t->options.batch_size, .group = &t->options.crops};
    return crops_input(t->encoder, tape, &crops, 0, crops.rows);
}

// The mean of the 10 ms frames in each of the encoder's.
static void take_log_mel(const MaskedTrainer *t, const float *mel, InputShape shape, float *features)
{
    int64_t n_mel = shape.length;
    for (int64_t i = 0; i < t->n_frames; i++) {
        int64_t first = i * FBANK_PER_FRAME, second = first + 1 < n_mel ? first + 1 : n_mel - 1;
        first = first < n_mel ? first : n_mel - 1;
        for (int64_t d = 0; d < shape.width; d++)
            features[i * shape.width + d] =
                (mel[first * shape.width + d] + mel[second * shape.width + d]) / 2;
    }
}

static void log_mel_features(MaskedTrainer *t, const float *crops)
{
    InputShape shape = crop_shape(LOG_MEL, &t->options.crops);
    int64_t n_samples = crop_samples(&t->options.crops);
    float *mel = t->log_mel ? mem_alloc((size_t)input_floats(shape), sizeof(float)) : NULL;
    for (int64_t b = 0; b < t->options.batch_size; b++) {
        if (t->log_mel)
            front_end_compute(t->log_mel, crops + b * n_samples, n_samples, NULL, mel);
        take_log_mel(t, mel ? mel : crops + b * input_floats(shape), shape,
                     t->features + b * t->n_frames * shape.width);
    }
    mem_free(mel);
}

// What is clustered, of the clean crops: t->features.
static void compute_features(MaskedTrainer *t, const float *crops)
{
    Tensor *hidden[WAVLM_MAX_LAYERS + 1];
    if (!t->target.encoder) {
        log_mel_features(t, crops);
        return;
    }
    tape_begin(t->target_tape, TAPE_NO_GRAD);
    wavlm_encoder_hidden(t->target.encoder, t->target_tape, input_of(t, t->target_tape, crops), NULL,
                         &(ForwardMode){.training = false}, hidden);
    const Tensor *layer = hidden[t->options.target_layer];
    memcpy(t->features, layer->data, (size_t)tensor_size(layer) * sizeof(float));
}

// Fills `frames` [n, D] from random crops of the corpus.
static int sample_frames(MaskedTrainer *t, const BatchOptions *training, int64_t n, float *frames,
                         Error *error)
{
    int64_t per_step = t->options.batch_size * t->n_frames, n_taken = 0;
    BatchOptions options = *training;
    options.augmenter = NULL;
    options.mix = options.degrade = options.spec_augment = 0;
    options.n_groups = 1;
    options.seed = rng_next(&(Rng){.key = training->seed, .counter = 1}); // crops of its own
    options.first_step = 0;
    options.end_step = (n + per_step - 1) / per_step;
    Batches *batches = batches_create(&options);
    const Batch *batch;
    int status;
    while ((status = batches_next(batches, &batch, error)) > 0) {
        int64_t count = n - n_taken < per_step ? n - n_taken : per_step;
        compute_features(t, batch->inputs[0]);
        memcpy(frames + n_taken * t->dim, t->features, (size_t)(count * t->dim) * sizeof(float));
        n_taken += count;
    }
    batches_destroy(batches);
    return status;
}

// Before the first step: the clusters. A resumed training has them in its state.
static int masked_begin(void *trainer, int64_t step, BatchOptions *batches, Error *error)
{
    (void)step;
    MaskedTrainer *t = trainer;
    int64_t n_clusters = t->options.n_clusters, n = FRAMES_PER_CLUSTER * n_clusters;
    if (t->has_centroids)
        return 0;
    float *frames = mem_try_alloc((size_t)n, (size_t)t->dim * sizeof(float), "the frames to cluster", error);
    Kmeans result;
    KmeansOptions options = kmeans_defaults(n_clusters);
    options.seed = t->options.seed;
    int status = frames ? sample_frames(t, batches, n, frames, error) : -1;
    if (status == 0 && (status = kmeans(frames, n, t->dim, &options, &result, error)) == 0) {
        memcpy(t->centroids, result.centroids, (size_t)(n_clusters * t->dim) * sizeof(float));
        t->has_centroids = 1;
        log_info("targets: %lld clusters of %lld frames of %s, %lld dimensions", (long long)n_clusters,
                 (long long)n, t->target.encoder ? t->options.target_path : "log-mel", (long long)t->dim);
        kmeans_release(&result);
    }
    mem_free(frames);
    return status;
}

// clusters[i] of the frame rows[i], for n of them: the nearest centroid.
static void find_clusters(MaskedTrainer *t, int64_t n)
{
    int64_t n_clusters = t->options.n_clusters, dim = t->dim;
    float *frames = mem_alloc((size_t)(n * dim), sizeof(float));
    float *products = mem_alloc((size_t)(n * n_clusters), sizeof(float));
    float *half_square = mem_zero((size_t)n_clusters, sizeof(float));
    for (int64_t i = 0; i < n; i++)
        memcpy(frames + i * dim, t->features + t->rows[i] * dim, (size_t)dim * sizeof(float));
    for (int64_t k = 0; k < n_clusters * dim; k++)
        half_square[k / dim] += t->centroids[k] * t->centroids[k] / 2;
    gemm(false, true, n, n_clusters, dim, 1, frames, dim, t->centroids, dim, 0, products, n_clusters);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        const float *row = products + i * n_clusters;
        int64_t best = 0;
        for (int64_t k = 1; k < n_clusters; k++)
            if (row[k] - half_square[k] > row[best] - half_square[best])
                best = k;
        t->clusters[i] = best;
    }
    mem_free(half_square);
    mem_free(products);
    mem_free(frames);
}

// --- a step

int64_t draw_mask(Rng *rng, int64_t n_frames, double share, int64_t length, bool *mask)
{
    int64_t n = 0, wanted = (int64_t)ceil(share * (double)n_frames);
    memset(mask, 0, (size_t)n_frames * sizeof(bool));
    length = length < n_frames ? length : n_frames;
    while (n < wanted) {
        int64_t start = (int64_t)rng_below(rng, (uint64_t)(n_frames - length + 1));
        for (int64_t i = start; i < start + length; i++) {
            n += !mask[i];
            mask[i] = true;
        }
    }
    return n;
}

// Draws the step's masks; returns how many frames are masked, their numbers in t->rows.
static int64_t mask_batch(MaskedTrainer *t, int64_t step)
{
    const MaskedOptions *options = &t->options;
    int64_t n = 0;
    for (int64_t b = 0; b < options->batch_size; b++) {
        Rng rng = rng_stream((uint64_t)options->seed, "mask", (uint64_t)step, (uint64_t)b);
        draw_mask(&rng, t->n_frames, options->mask_share, options->mask_length, t->mask + b * t->n_frames);
    }
    for (int64_t i = 0; i < options->batch_size * t->n_frames; i++)
        if (t->mask[i])
            t->rows[n++] = i;
    return n;
}

static Tensor *masked_loss(MaskedTrainer *t, const Batch *batch, int64_t n, AamReport *report)
{
    ForwardMode mode = {.training = true,
                        .rng = rng_stream((uint64_t)t->options.seed, "dropout", (uint64_t)batch->step, 0)};
    Tensor *hidden[WAVLM_MAX_LAYERS + 1];
    int64_t layers = wavlm_encoder_architecture(t->encoder)->wavlm.layers;
    tape_begin(t->tape, TAPE_RECORD);
    wavlm_encoder_hidden(t->encoder, t->tape, input_of(t, t->tape, batch->inputs[0]), t->mask, &mode, hidden);
    Tensor *x = wavlm_output(wavlm_encoder_model(t->encoder), t->tape, hidden[layers]);
    x = op_reshape(t->tape, x, 2, (int64_t[]){x->dim[0] * x->dim[1], x->dim[2]});
    x = affine_linear(t->tape, op_gather_first(t->tape, x, t->rows, n), &t->project);
    // Without a margin this is the cross-entropy over cosines.
    AamSoftmax cosines = {.scale = 1 / TEMPERATURE};
    return aam_softmax_loss(t->tape, x, &t->labels->tensor, t->clusters, &cosines, report);
}

static int masked_step(void *trainer, const Batch *batch, StepReport *report, Error *error)
{
    (void)error;
    MaskedTrainer *t = trainer;
    AamReport seen;
    int64_t n = mask_batch(t, batch->step);
    compute_features(t, batch->inputs[1]);
    find_clusters(t, n);
    Tensor *loss = masked_loss(t, batch, n, &seen);
    parameters_zero_grads(&t->parameters);
    tape_backward(t->tape, loss);
    double rate = schedule_at(&t->options.learning_rate, batch->step);
    *report = (StepReport){.loss = loss->data[0],
                           .gradient_norm = gradients_clip_global(&t->parameters, t->options.clip_norm),
                           .learning_rate = rate,
                           .details = {{"acc", seen.accuracy},
                                       {"masked", (double)n / (double)(t->options.batch_size * t->n_frames)}},
                           .arena_bytes = tape_peak_bytes(t->tape) + tape_peak_bytes(t->target_tape)};
    optimizer_step(&t->optimizer, rate);
    return 0;
}

void masked_trainer_attach(MaskedTrainer *t, TrainLoop *loop)
{
    const Parameters *p = &t->parameters;
    loop->trainer = t;
    loop->begin = masked_begin;
    loop->step = masked_step;
    loop->batches.input = t->encoder->input;
    loop->batches.groups[0] = loop->batches.groups[1] = t->options.crops;
    loop->batches.groups[1].clean = true;
    loop->batches.n_groups = 2;
    const StateItem items[] = {
        state_floats("values", p->n_values, p->values),
        state_count("optimizer.steps", &t->optimizer.n_steps, INT64_MAX),
        state_floats("optimizer.first", t->optimizer.first ? p->n_values : 0, t->optimizer.first),
        state_floats("optimizer.second", t->optimizer.second ? p->n_values : 0, t->optimizer.second),
        state_count("has_centroids", &t->has_centroids, INT64_MAX),
        state_floats("centroids", t->options.n_clusters * t->dim, t->centroids)};
    loop->n_state = 0;
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
        if (items[i].n > 0)
            loop->state[loop->n_state++] = items[i];
}

int masked_trainer_publish(const MaskedTrainer *t, const char *path, const ModelInfo *info, Error *error)
{
    return model_publish(path, &t->parameters, NULL, info, error);
}
