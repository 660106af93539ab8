// B batch, C Gaussians, D dimensions of a frame, R of the i-vector.
#include "models/ivector_encoder.h"

#include <math.h>
#include <stddef.h>

#include "audio/fbank.h"
#include "base/log.h"
#include "base/memory.h"
#include "ivector/statistics.h"
#include "models/architecture_keys.h"
#include "nn/scope.h"

typedef struct IvectorEncoder {
    Encoder base;
    IvectorConfig config;
    SpeechFrames *speech;
    Parameter *frame_mean, *frame_deviation, *weights, *means, *covariances, *tv_means, *tv_matrix, *out_mean,
        *out_transform;
    GmmScorer ubm; // made from the parameters at the first utterance
    TvScorer *tv;
} IvectorEncoder;

#define AT(field) offsetof(IvectorConfig, field)
static const ArchitectureKey KEYS[] = {
    {"gaussians", KEY_COUNT, AT(gaussians), 1 << 16, {0}},
    {"ivector_dim", KEY_COUNT, AT(ivector_dim), 1 << 12, {0}},
    {"ceps", KEY_COUNT, AT(ceps), 30, {0}},
    {"deltas", KEY_NUMBER, AT(deltas), 2, {0}},
    {"mean_window", KEY_NUMBER, AT(mean_window), 1 << 24, {0}},
    {"vad", KEY_BOOL, AT(vad), 0, {0}},
};
#undef AT

static IvectorConfig parse(const cJSON *architecture, Error *error)
{
    IvectorConfig config = {
        .gaussians = 512, .ivector_dim = 200, .ceps = 24, .deltas = 2, .mean_window = 300, .vad = true};
    if (architecture_read("ivector", architecture, KEYS, sizeof KEYS / sizeof KEYS[0], &config, error) < 0)
        config.gaussians = 0;
    return config;
}

static const Init ZERO = {INIT_ZERO, 0}; // training fills them in

static Encoder *ivector_create(const cJSON *architecture, Parameters *parameters, Error *error)
{
    IvectorConfig config = parse(architecture, error);
    int64_t n = config.gaussians, rank = config.ivector_dim;
    if (n == 0)
        return NULL;
    IvectorEncoder *self = mem_zero(1, sizeof *self);
    self->config = config;
    self->speech = speech_frames_create(
        &(SpeechFramesOptions){config.ceps, config.deltas, config.mean_window, config.vad});
    int64_t dim = speech_frames_dim(self->speech);
    Scope scope = scope_of(parameters, "");
    self->frame_mean = scope_parameter(&scope, "frames.mean", 1, &dim, ZERO);
    self->frame_deviation = scope_parameter(&scope, "frames.deviation", 1, &dim, ZERO);
    self->weights = scope_parameter(&scope, "ubm.weights", 1, &n, ZERO);
    self->means = scope_parameter(&scope, "ubm.means", 2, (int64_t[]){n, dim}, ZERO);
    self->covariances = scope_parameter(&scope, "ubm.covariances", 3, (int64_t[]){n, dim, dim}, ZERO);
    self->tv_means = scope_parameter(&scope, "tv.means", 2, (int64_t[]){n, dim}, ZERO);
    self->tv_matrix = scope_parameter(&scope, "tv.matrix", 3, (int64_t[]){n, dim, rank}, ZERO);
    self->out_mean = scope_parameter(&scope, "out.mean", 1, &rank, ZERO);
    self->out_transform = scope_parameter(&scope, "out.transform", 2, (int64_t[]){rank, rank}, ZERO);
    self->base = (Encoder){.kind = &ivector_kind,
                           .input = ENCODER_WAVEFORM,
                           .input_width = 1,
                           .embedding_dim = rank,
                           .min_input = fbank_samples(1)};
    return &self->base;
}

static void ivector_destroy(Encoder *encoder)
{
    IvectorEncoder *self = (IvectorEncoder *)encoder;
    speech_frames_destroy(self->speech);
    gmm_scorer_release(&self->ubm);
    tv_scorer_destroy(self->tv);
    mem_free(self);
}

// --- for training

const IvectorConfig *ivector_config(const Encoder *encoder)
{
    return &((const IvectorEncoder *)encoder)->config;
}

int64_t ivector_frame_dim(const Encoder *encoder)
{
    return speech_frames_dim(((const IvectorEncoder *)encoder)->speech);
}

Gmm ivector_ubm(Encoder *encoder)
{
    const IvectorEncoder *self = (IvectorEncoder *)encoder;
    return (Gmm){.n = self->config.gaussians,
                 .dim = ivector_frame_dim(encoder),
                 .full = true,
                 .weights = self->weights->tensor.data,
                 .means = self->means->tensor.data,
                 .covariances = self->covariances->tensor.data};
}

TotalVariability ivector_tv(Encoder *encoder)
{
    const IvectorEncoder *self = (IvectorEncoder *)encoder;
    return (TotalVariability){.n = self->config.gaussians,
                              .dim = ivector_frame_dim(encoder),
                              .rank = self->config.ivector_dim,
                              .means = self->tv_means->tensor.data,
                              .matrix = self->tv_matrix->tensor.data};
}

int64_t ivector_frames(const Encoder *encoder, const float *samples, int64_t n_samples, float *frames)
{
    const IvectorEncoder *self = (const IvectorEncoder *)encoder;
    int64_t n = speech_frames_compute(self->speech, samples, n_samples, frames),
            dim = ivector_frame_dim(encoder);
    const float *mean = self->frame_mean->tensor.data, *deviation = self->frame_deviation->tensor.data;
    for (int64_t i = 0; i < n * dim; i++)
        frames[i] = (frames[i] - mean[i % dim]) / deviation[i % dim];
    return n;
}

// --- forward

// A checkpoint whose numbers make no model gives NaN, which voxloop-extract reports.
static bool prepare(IvectorEncoder *self)
{
    Error error = {0};
    Gmm ubm = ivector_ubm(&self->base);
    TotalVariability tv = ivector_tv(&self->base);
    if (!self->ubm.rows && gmm_scorer_create(&ubm, &self->ubm, &error) < 0)
        log_warn("ivector: %s", error.text);
    else if (!self->tv && !(self->tv = tv_scorer_create(&tv, &ubm, &error)))
        log_warn("ivector: %s", error.text);
    return self->ubm.rows && self->tv;
}

// y [R] = transform (x - mean), of length 1
static void finish(const IvectorEncoder *self, const float *x, float *y)
{
    int64_t rank = self->config.ivector_dim;
    const float *mean = self->out_mean->tensor.data, *transform = self->out_transform->tensor.data;
    double squares = 0;
    for (int64_t r = 0; r < rank; r++) {
        double sum = 0;
        for (int64_t q = 0; q < rank; q++)
            sum += (double)transform[r * rank + q] * (x[q] - mean[q]);
        y[r] = (float)sum;
        squares += sum * sum;
    }
    for (int64_t r = 0; r < rank; r++)
        y[r] = (float)(y[r] / sqrt(squares));
}

static Tensor *ivector_forward(Encoder *encoder, Tape *tape, Tensor *input, const ForwardMode *mode)
{
    (void)mode;
    IvectorEncoder *self = (IvectorEncoder *)encoder;
    int64_t batch = input->dim[0], n_samples = input->dim[1], n_frames = fbank_frames(n_samples);
    int64_t n = self->config.gaussians, dim = ivector_frame_dim(encoder), rank = self->config.ivector_dim;
    Tensor *output = tape_tensor(tape, 2, (int64_t[]){batch, rank});
    float *frames = mem_alloc((size_t)(n_frames * dim), sizeof(float));
    float *statistics = mem_alloc((size_t)(n + n * dim + rank), sizeof(float)), *sums = statistics + n;
    bool ready;
#pragma omp critical(ivector_prepare)
    ready = prepare(self);
    for (int64_t b = 0; b < batch; b++) {
        float *ivector = sums + n * dim, *y = output->data + b * rank;
        int64_t count = ivector_frames(encoder, input->data + b * n_samples, n_samples, frames);
        for (int64_t r = 0; r < rank; r++)
            y[r] = NAN;
        if (!ready)
            continue;
        ivector_statistics(&self->ubm, frames, count, statistics, sums);
        tv_extract(self->tv, statistics, sums, 1, ivector);
        finish(self, ivector, y);
    }
    mem_free(statistics);
    mem_free(frames);
    return output;
}

const EncoderKind ivector_kind = {.name = "ivector",
                                  .no_gradient = true,
                                  .create = ivector_create,
                                  .destroy = ivector_destroy,
                                  .forward = ivector_forward};
