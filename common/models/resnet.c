// B batch, T time, F frequency, C channels.
#include "models/resnet.h"

#include <stddef.h>

#include "base/memory.h"
#include "models/architecture_keys.h"
#include "nn/attentive_pool.h"

enum { N_STAGES = 4, MAX_BLOCKS = 64, EXPANSION = 4 }; // EXPANSION: of a bottleneck block
static const float VARIANCE_FLOOR = 1e-7f;

typedef struct ResnetConfig {
    int64_t blocks[N_STAGES], m_channels, feat_dim, embed_dim, astp_bottleneck_dim;
    bool bottleneck, astp, global_context_att, two_emb_layer;
} ResnetConfig;

typedef struct ConvNorm {
    Affine conv;
    BatchNormLayer norm;
    Conv2d shape;
} ConvNorm;

typedef struct Block {
    ConvNorm convs[3], shortcut; // shortcut's weight is NULL where the input passes unchanged
    int n_convs;
} Block;

typedef struct Resnet {
    Encoder base;
    ResnetConfig config;
    ConvNorm first;
    Block stages[N_STAGES][MAX_BLOCKS];
    AttentivePool pool;
    Affine embed, embed_again;
    BatchNormLayer again_norm;
} Resnet;

#define AT(field) offsetof(ResnetConfig, field)
static const ArchitectureKey KEYS[] = {
    {"blocks1", KEY_COUNT, AT(blocks[0]), MAX_BLOCKS, {0}},
    {"blocks2", KEY_COUNT, AT(blocks[1]), MAX_BLOCKS, {0}},
    {"blocks3", KEY_COUNT, AT(blocks[2]), MAX_BLOCKS, {0}},
    {"blocks4", KEY_COUNT, AT(blocks[3]), MAX_BLOCKS, {0}},
    {"block", KEY_CHOICE, AT(bottleneck), 0, {"basic", "bottleneck"}},
    {"m_channels", KEY_COUNT, AT(m_channels), 4096, {0}},
    {"feat_dim", KEY_COUNT, AT(feat_dim), 4096, {0}},
    {"embed_dim", KEY_COUNT, AT(embed_dim), 1 << 16, {0}},
    {"pooling", KEY_CHOICE, AT(astp), 0, {"TSTP", "ASTP"}},
    {"astp_bottleneck_dim", KEY_COUNT, AT(astp_bottleneck_dim), 1 << 16, {0}},
    {"global_context_att", KEY_BOOL, AT(global_context_att), 0, {0}},
    {"two_emb_layer", KEY_BOOL, AT(two_emb_layer), 0, {0}},
};
#undef AT

// --- declaration

// A convolution without bias, and its batch norm.
static ConvNorm declare_conv(Scope conv, Scope norm, int64_t out, int64_t in, int64_t kernel, int64_t stride)
{
    return (ConvNorm){affine_declare(conv, 4, (int64_t[]){out, in, kernel, kernel}, false),
                      batch_norm_declare(norm, out),
                      {.stride = stride, .padding = kernel / 2}};
}

static Block declare_block(Scope scope, const ResnetConfig *config, int64_t in, int64_t width, int64_t stride)
{
    static const int64_t BASIC[2] = {3, 3}, BOTTLENECK[3] = {1, 3, 1}; // kernels
    const int64_t *kernels = config->bottleneck ? BOTTLENECK : BASIC;
    int64_t out = config->bottleneck ? EXPANSION * width : width, channels = in;
    Block block = {.n_convs = config->bottleneck ? 3 : 2};
    for (int i = 0; i < block.n_convs; i++) {
        int64_t outputs = i == block.n_convs - 1 ? out : width;
        bool strides = i == (config->bottleneck ? 1 : 0);
        block.convs[i] =
            declare_conv(scope_enter(&scope, "conv%d", i + 1), scope_enter(&scope, "bn%d", i + 1), outputs,
                         channels, kernels[i], strides ? stride : 1);
        channels = outputs;
    }
    if (stride != 1 || in != out)
        block.shortcut = declare_conv(scope_enter(&scope, "shortcut.0"), scope_enter(&scope, "shortcut.1"),
                                      out, in, 1, stride);
    return block;
}

// Sets the sizes of the maps, too.
static void declare_stages(Resnet *resnet, const Scope *model)
{
    const ResnetConfig *config = &resnet->config;
    int64_t channels = config->m_channels, bins = config->feat_dim;
    for (int s = 0; s < N_STAGES; s++) {
        int64_t width = config->m_channels << s;
        for (int64_t i = 0; i < config->blocks[s]; i++) {
            int64_t stride = s > 0 && i == 0 ? 2 : 1;
            resnet->stages[s][i] = declare_block(scope_enter(model, "layer%d.%lld", s + 1, (long long)i),
                                                 config, channels, width, stride);
            channels = config->bottleneck ? EXPANSION * width : width;
            bins = (bins - 1) / stride + 1;
        }
        resnet->base.map_dim[s] = channels * bins;
    }
    resnet->base.n_maps = N_STAGES;
}

static Encoder *resnet_create(const cJSON *architecture, Parameters *parameters, Error *error)
{
    ResnetConfig config = {.blocks = {3, 4, 6, 3},
                           .m_channels = 32,
                           .feat_dim = 80,
                           .embed_dim = 256,
                           .astp_bottleneck_dim = 128};
    if (architecture_read("resnet", architecture, KEYS, sizeof KEYS / sizeof KEYS[0], &config, error) < 0)
        return NULL;
    Resnet *resnet = mem_zero(1, sizeof *resnet);
    resnet->config = config;
    resnet->base = (Encoder){.kind = &resnet_kind,
                             .input = ENCODER_FBANK,
                             .input_width = config.feat_dim,
                             .embedding_dim = config.embed_dim,
                             .min_input = 9}; // two frames at the end, which have a standard deviation
    Scope scope = scope_of(parameters, "");
    resnet->first =
        declare_conv(scope_enter(&scope, "conv1"), scope_enter(&scope, "bn1"), config.m_channels, 1, 3, 1);
    declare_stages(resnet, &scope);
    int64_t pooled = resnet->base.map_dim[N_STAGES - 1];
    if (config.astp)
        resnet->pool = attentive_pool_declare(scope_enter(&scope, "pool"), pooled, config.astp_bottleneck_dim,
                                              config.global_context_att);
    resnet->embed =
        affine_declare(scope_enter(&scope, "seg_1"), 2, (int64_t[]){config.embed_dim, 2 * pooled}, true);
    if (config.two_emb_layer) {
        resnet->again_norm = batch_norm_declare_bare(scope_enter(&scope, "seg_bn_1"), config.embed_dim);
        resnet->embed_again = affine_declare(scope_enter(&scope, "seg_2"), 2,
                                             (int64_t[]){config.embed_dim, config.embed_dim}, true);
    }
    return &resnet->base;
}

static void resnet_destroy(Encoder *encoder)
{
    mem_free(encoder);
}

// --- forward

static Tensor *conv_norm(Tape *tape, Tensor *x, const ConvNorm *layer, bool training)
{
    TapeMark mark = tape_mark(tape);
    Tensor *y = affine_conv2d(tape, x, &layer->conv, layer->shape);
    return tape_release(tape, mark, batch_norm_apply(tape, y, &layer->norm, training, false));
}

static Tensor *residual(Tape *tape, Tensor *x, const Block *block, bool training)
{
    TapeMark mark = tape_mark(tape);
    Tensor *y = x;
    for (int i = 0; i < block->n_convs; i++) {
        y = conv_norm(tape, y, &block->convs[i], training);
        if (i < block->n_convs - 1)
            y = op_relu(tape, y);
    }
    Tensor *shortcut = block->shortcut.conv.weight ? conv_norm(tape, x, &block->shortcut, training) : x;
    return tape_release(tape, mark, op_relu(tape, op_add(tape, y, shortcut)));
}

// [B, T, F, C] -> [B, T, C F]
static Tensor *flatten(Tape *tape, Tensor *x)
{
    return op_reshape(tape, op_swap_last(tape, x), 3,
                      (int64_t[]){x->dim[0], x->dim[1], x->dim[2] * x->dim[3]});
}

static Tensor *resnet_forward(Encoder *encoder, Tape *tape, Tensor *input, const ForwardMode *mode)
{
    const Resnet *resnet = (const Resnet *)encoder;
    const ResnetConfig *config = &resnet->config;
    TapeMark mark = tape_mark(tape);
    Tensor *x = op_reshape(tape, input, 4, (int64_t[]){input->dim[0], input->dim[1], input->dim[2], 1});
    x = op_relu(tape, conv_norm(tape, x, &resnet->first, mode->training));
    for (int s = 0; s < N_STAGES; s++) {
        for (int64_t i = 0; i < config->blocks[s]; i++)
            x = residual(tape, x, &resnet->stages[s][i], mode->training);
        if (mode->maps)
            mode->maps[s] = flatten(tape, x);
    }
    x = mode->maps ? mode->maps[N_STAGES - 1] : flatten(tape, x);
    x = config->astp ? attentive_pool(tape, x, &resnet->pool, mode->training)
                     : op_mean_std_time(tape, x, true, VARIANCE_FLOOR);
    x = affine_linear(tape, x, &resnet->embed);
    if (config->two_emb_layer)
        x = affine_linear(tape, batch_norm_apply(tape, x, &resnet->again_norm, mode->training, true),
                          &resnet->embed_again);
    return tape_release(tape, mark, x);
}

const EncoderKind resnet_kind = {
    .name = "resnet",
    .architectures = {{"resnet18", .fixed = "blocks1=2,blocks2=2,blocks3=2,blocks4=2",
                       .small = "m_channels=8,embed_dim=192"},
                      {"resnet34", .small = "m_channels=8,embed_dim=192"},
                      {"resnet50", .fixed = "block=bottleneck", .small = "m_channels=8,embed_dim=192"}},
    .create = resnet_create,
    .destroy = resnet_destroy,
    .forward = resnet_forward};
