// B batch, T frames, C channels, P channels before pooling.
#include "models/ecapa_tdnn.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "tensor/ops.h"

enum { N_BLOCKS = 3, MAX_SCALE = 16, FIRST_KERNEL = 5, BLOCK_KERNEL = 3, LARGEST_WIDTH = 1 << 16 };
static const float BN_MOMENTUM = 0.1f, BN_EPSILON = 1e-5f, VARIANCE_FLOOR = 1e-7f;

typedef struct Affine { // convolution or linear layer
    Parameter *weight, *bias;
} Affine;

typedef struct Norm {
    Parameter *weight, *bias, *running_mean, *running_variance;
} Norm;

typedef struct Tdnn { // convolution, ReLU, batch norm
    Affine conv;
    Norm norm;
    Conv1d shape;
} Tdnn;

typedef struct Block {
    Tdnn first, last, res2[MAX_SCALE - 1];
    Affine squeeze, excite;
} Block;

typedef struct Ecapa {
    Encoder base;
    EcapaConfig config;
    Tdnn first;
    Block blocks[N_BLOCKS];
    Affine aggregate, attention1, attention2, embed;
    Norm pooled_norm, embedding_norm;
} Ecapa;

// --- configuration

static const struct {
    const char *name;
    size_t offset;
} WIDTHS[] = {
    {"channels", offsetof(EcapaConfig, channels)},
    {"feat_dim", offsetof(EcapaConfig, feat_dim)},
    {"embed_dim", offsetof(EcapaConfig, embed_dim)},
    {"pre_pool_channels", offsetof(EcapaConfig, pre_pool_channels)},
    {"astp_bottleneck_dim", offsetof(EcapaConfig, astp_bottleneck_dim)},
    {"se_bottleneck_dim", offsetof(EcapaConfig, se_bottleneck_dim)},
    {"res2net_scale", offsetof(EcapaConfig, res2net_scale)},
};
static const struct {
    const char *name;
    size_t offset;
} SWITCHES[] = {
    {"global_context_att", offsetof(EcapaConfig, global_context_att)},
    {"emb_bn", offsetof(EcapaConfig, emb_bn)},
};

static int parse_key(const cJSON *item, EcapaConfig *config, Error *error)
{
    if (strcmp(item->string, "encoder") == 0)
        return 0;
    for (size_t i = 0; i < sizeof WIDTHS / sizeof WIDTHS[0]; i++) {
        if (strcmp(item->string, WIDTHS[i].name) != 0)
            continue;
        if (!cJSON_IsNumber(item) || item->valuedouble < 1 || item->valuedouble > LARGEST_WIDTH ||
            item->valuedouble != floor(item->valuedouble))
            return error_set(error, "ecapa: %s must be a whole number from 1 to %d", item->string,
                             LARGEST_WIDTH);
        *(int64_t *)((char *)config + WIDTHS[i].offset) = (int64_t)item->valuedouble;
        return 0;
    }
    for (size_t i = 0; i < sizeof SWITCHES / sizeof SWITCHES[0]; i++) {
        if (strcmp(item->string, SWITCHES[i].name) != 0)
            continue;
        if (!cJSON_IsBool(item))
            return error_set(error, "ecapa: %s must be true or false", item->string);
        *(bool *)((char *)config + SWITCHES[i].offset) = cJSON_IsTrue(item);
        return 0;
    }
    return error_set(
        error,
        "ecapa: unknown architecture key %s; known are channels, feat_dim, embed_dim, pre_pool_channels, "
        "astp_bottleneck_dim, se_bottleneck_dim, res2net_scale, global_context_att, emb_bn",
        item->string);
}

int ecapa_parse(const cJSON *architecture, EcapaConfig *config, Error *error)
{
    EcapaConfig parsed = {.channels = 512,
                          .feat_dim = 80,
                          .embed_dim = 192,
                          .astp_bottleneck_dim = 128,
                          .se_bottleneck_dim = 128,
                          .res2net_scale = 8,
                          .global_context_att = true};
    const cJSON *item;
    cJSON_ArrayForEach(item, architecture)
    {
        if (parse_key(item, &parsed, error) < 0)
            return -1;
    }
    if (!parsed.pre_pool_channels)
        parsed.pre_pool_channels = 3 * parsed.channels;
    if (parsed.res2net_scale < 2 || parsed.res2net_scale > MAX_SCALE ||
        parsed.channels % parsed.res2net_scale != 0)
        return error_set(error, "ecapa: channels (%lld) must be a multiple of res2net_scale (%lld, 2 to %d)",
                         (long long)parsed.channels, (long long)parsed.res2net_scale, MAX_SCALE);
    *config = parsed;
    return 0;
}

// --- declaration

// PyTorch's default: uniform within 1 / sqrt(fan in), for the bias too.
static Affine declare_affine(Parameters *parameters, const char *name, int64_t out, int64_t in,
                             int64_t kernel)
{
    Init init = {INIT_UNIFORM, 1.0f / sqrtf((float)(in * kernel))};
    int n_dims = kernel ? 3 : 2;
    if (!kernel)
        init.value = 1.0f / sqrtf((float)in);
    return (Affine){parameters_add(parameters, n_dims, (int64_t[]){out, in, kernel}, init, "%s.weight", name),
                    parameters_add(parameters, 1, &out, init, "%s.bias", name)};
}

static Norm declare_norm(Parameters *parameters, const char *name, int64_t channels)
{
    return (Norm){parameters_add(parameters, 1, &channels, (Init){INIT_ONE, 0}, "%s.weight", name),
                  parameters_add(parameters, 1, &channels, (Init){INIT_ZERO, 0}, "%s.bias", name),
                  parameters_add_buffer(parameters, channels, (Init){INIT_ZERO, 0}, "%s.running_mean", name),
                  parameters_add_buffer(parameters, channels, (Init){INIT_ONE, 0}, "%s.running_var", name)};
}

static Tdnn declare_tdnn(Parameters *parameters, const char *conv, const char *norm, int64_t out, int64_t in,
                         int64_t kernel, int64_t dilation)
{
    return (Tdnn){declare_affine(parameters, conv, out, in, kernel),
                  declare_norm(parameters, norm, out),
                  {.padding = dilation * (kernel / 2), .dilation = dilation}};
}

static void declare_block(Ecapa *ecapa, Parameters *parameters, int index)
{
    const EcapaConfig *config = &ecapa->config;
    Block *block = &ecapa->blocks[index];
    int64_t channels = config->channels, width = channels / config->res2net_scale;
    char conv[64], norm[64];
    snprintf(conv, sizeof conv, "layer%d.se_res2block.0.conv", index + 2);
    snprintf(norm, sizeof norm, "layer%d.se_res2block.0.bn", index + 2);
    block->first = declare_tdnn(parameters, conv, norm, channels, channels, 1, 1);
    for (int s = 0; s < config->res2net_scale - 1; s++) {
        snprintf(conv, sizeof conv, "layer%d.se_res2block.1.convs.%d", index + 2, s);
        snprintf(norm, sizeof norm, "layer%d.se_res2block.1.bns.%d", index + 2, s);
        block->res2[s] = declare_tdnn(parameters, conv, norm, width, width, BLOCK_KERNEL, index + 2);
    }
    snprintf(conv, sizeof conv, "layer%d.se_res2block.2.conv", index + 2);
    snprintf(norm, sizeof norm, "layer%d.se_res2block.2.bn", index + 2);
    block->last = declare_tdnn(parameters, conv, norm, channels, channels, 1, 1);
    snprintf(conv, sizeof conv, "layer%d.se_res2block.3.linear1", index + 2);
    block->squeeze = declare_affine(parameters, conv, config->se_bottleneck_dim, channels, 0);
    snprintf(conv, sizeof conv, "layer%d.se_res2block.3.linear2", index + 2);
    block->excite = declare_affine(parameters, conv, channels, config->se_bottleneck_dim, 0);
}

static Encoder *ecapa_create(const cJSON *architecture, Parameters *parameters, Error *error)
{
    EcapaConfig config;
    if (ecapa_parse(architecture, &config, error) < 0)
        return NULL;
    Ecapa *ecapa = mem_zero(1, sizeof *ecapa);
    int64_t pre_pool = config.pre_pool_channels;
    ecapa->base = (Encoder){.kind = &ecapa_kind,
                            .input = ENCODER_FBANK,
                            .embedding_dim = config.embed_dim,
                            .min_input = 2}; // one frame has no standard deviation
    ecapa->config = config;
    ecapa->first = declare_tdnn(parameters, "layer1.conv", "layer1.bn", config.channels, config.feat_dim,
                                FIRST_KERNEL, 1);
    for (int i = 0; i < N_BLOCKS; i++)
        declare_block(ecapa, parameters, i);
    ecapa->aggregate = declare_affine(parameters, "conv", pre_pool, N_BLOCKS * config.channels, 1);
    ecapa->attention1 = declare_affine(parameters, "pool.linear1", config.astp_bottleneck_dim,
                                       config.global_context_att ? 3 * pre_pool : pre_pool, 1);
    ecapa->attention2 = declare_affine(parameters, "pool.linear2", pre_pool, config.astp_bottleneck_dim, 1);
    ecapa->pooled_norm = declare_norm(parameters, "bn", 2 * pre_pool);
    ecapa->embed = declare_affine(parameters, "linear", config.embed_dim, 2 * pre_pool, 0);
    if (config.emb_bn)
        ecapa->embedding_norm = declare_norm(parameters, "bn2", config.embed_dim);
    return &ecapa->base;
}

static void ecapa_destroy(Encoder *encoder)
{
    mem_free(encoder);
}

// --- forward

static Tensor *linear(Tape *tape, Tensor *x, const Affine *layer)
{
    return op_linear(tape, x, &layer->weight->tensor, &layer->bias->tensor);
}

static Tensor *batch_norm(Tape *tape, Tensor *x, const Norm *norm, bool training, bool relu_first)
{
    BatchNorm batch = {&norm->weight->tensor,
                       &norm->bias->tensor,
                       norm->running_mean->tensor.data,
                       norm->running_variance->tensor.data,
                       BN_MOMENTUM,
                       BN_EPSILON};
    return op_batch_norm(tape, x, &batch, training, relu_first);
}

static Tensor *tdnn(Tape *tape, Tensor *x, const Tdnn *layer, bool training)
{
    Tensor *weight = &layer->conv.weight->tensor, *bias = &layer->conv.bias->tensor;
    TapeMark mark = tape_mark(tape);
    Tensor *y = weight->dim[2] == 1 ? op_linear(tape, x, weight, bias)
                                    : op_conv1d(tape, x, weight, bias, layer->shape);
    return tape_release(tape, mark, batch_norm(tape, y, &layer->norm, training, true));
}

// y_s = f_s(x_s + y_(s-1)); the last piece passes unchanged.
static Tensor *res2(Tape *tape, Tensor *x, const Block *block, int64_t scale, bool training)
{
    int64_t width = tensor_cols(x) / scale;
    Tensor *pieces[MAX_SCALE], *y = NULL;
    for (int64_t s = 0; s < scale; s++) {
        Tensor *piece = op_slice_last(tape, x, s * width, width);
        if (s < scale - 1)
            y = piece = tdnn(tape, y ? op_add(tape, piece, y) : piece, &block->res2[s], training);
        pieces[s] = piece;
    }
    return op_concat_last(tape, pieces, (int)scale);
}

static Tensor *se_res2_block(Tape *tape, Tensor *x, const Block *block, const EcapaConfig *config,
                             bool training)
{
    TapeMark mark = tape_mark(tape);
    Tensor *y = tdnn(tape, x, &block->first, training);
    y = res2(tape, y, block, config->res2net_scale, training);
    y = tdnn(tape, y, &block->last, training);
    Tensor *gate = op_relu(tape, linear(tape, op_mean_time(tape, y), &block->squeeze));
    gate = op_sigmoid(tape, linear(tape, gate, &block->excite));
    return tape_release(tape, mark, op_add(tape, x, op_scale_channels(tape, y, gate)));
}

// Attentive statistics pooling. With global context each frame is joined by the utterance's mean and standard
// deviation; their share of the product is the same for all frames, so it is computed once per utterance.
static Tensor *attentive_statistics(Tape *tape, Tensor *x, const Ecapa *ecapa)
{
    Tensor *weight = &ecapa->attention1.weight->tensor, *bias = &ecapa->attention1.bias->tensor, *hidden;
    int64_t pre_pool = tensor_cols(x), bottleneck = weight->dim[0];
    if (ecapa->config.global_context_att) {
        Tensor *context = op_mean_std_time(tape, x, true, VARIANCE_FLOOR);
        Tensor *flat = op_reshape(tape, weight, 2, (int64_t[]){bottleneck, 3 * pre_pool});
        hidden = op_linear(tape, x, op_slice_last(tape, flat, 0, pre_pool), NULL);
        Tensor *shift = op_linear(tape, context, op_slice_last(tape, flat, pre_pool, 2 * pre_pool), bias);
        hidden = op_add_channels(tape, hidden, shift);
    } else {
        hidden = op_linear(tape, x, weight, bias);
    }
    Tensor *scores = linear(tape, op_tanh(tape, hidden), &ecapa->attention2);
    return op_weighted_mean_std(tape, x, op_softmax_time(tape, scores), VARIANCE_FLOOR);
}

static Tensor *ecapa_forward(Encoder *encoder, Tape *tape, Tensor *input, const ForwardMode *mode)
{
    Ecapa *ecapa = (Ecapa *)encoder;
    TapeMark mark = tape_mark(tape);
    Tensor *x = tdnn(tape, input, &ecapa->first, mode->training), *outputs[N_BLOCKS];
    for (int i = 0; i < N_BLOCKS; i++)
        x = outputs[i] = se_res2_block(tape, x, &ecapa->blocks[i], &ecapa->config, mode->training);
    x = op_relu(tape, linear(tape, op_concat_last(tape, outputs, N_BLOCKS), &ecapa->aggregate));
    x = attentive_statistics(tape, x, ecapa);
    x = batch_norm(tape, x, &ecapa->pooled_norm, mode->training, false);
    x = linear(tape, x, &ecapa->embed);
    if (ecapa->config.emb_bn)
        x = batch_norm(tape, x, &ecapa->embedding_norm, mode->training, false);
    return tape_release(tape, mark, x);
}

const EncoderKind ecapa_kind = {"ecapa", ecapa_create, ecapa_destroy, ecapa_forward};
