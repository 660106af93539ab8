// B batch, T frames, C channels, P channels before pooling.
#include "models/ecapa_tdnn.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/memory.h"
#include "models/architecture_keys.h"
#include "nn/attentive_pool.h"

enum { N_BLOCKS = 3, MAX_SCALE = 16, FIRST_KERNEL = 5, BLOCK_KERNEL = 3, LARGEST_WIDTH = 1 << 16 };

typedef struct Tdnn { // convolution, ReLU, batch norm
    Affine conv;
    BatchNormLayer norm;
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
    Affine aggregate, embed;
    AttentivePool pool;
    BatchNormLayer pooled_norm, embedding_norm;
} Ecapa;

// --- configuration

#define AT(field) offsetof(EcapaConfig, field)
static const ArchitectureKey KEYS[] = {
    {"channels", KEY_COUNT, AT(channels), LARGEST_WIDTH, {0}},
    {"feat_dim", KEY_COUNT, AT(feat_dim), LARGEST_WIDTH, {0}},
    {"embed_dim", KEY_COUNT, AT(embed_dim), LARGEST_WIDTH, {0}},
    {"pre_pool_channels", KEY_COUNT, AT(pre_pool_channels), LARGEST_WIDTH, {0}},
    {"astp_bottleneck_dim", KEY_COUNT, AT(astp_bottleneck_dim), LARGEST_WIDTH, {0}},
    {"se_bottleneck_dim", KEY_COUNT, AT(se_bottleneck_dim), LARGEST_WIDTH, {0}},
    {"res2net_scale", KEY_COUNT, AT(res2net_scale), LARGEST_WIDTH, {0}},
    {"global_context_att", KEY_BOOL, AT(global_context_att), 0, {0}},
    {"emb_bn", KEY_BOOL, AT(emb_bn), 0, {0}},
};
#undef AT

int ecapa_parse(const cJSON *architecture, EcapaConfig *config, Error *error)
{
    EcapaConfig parsed = {.channels = 512,
                          .feat_dim = 80,
                          .embed_dim = 192,
                          .astp_bottleneck_dim = 128,
                          .se_bottleneck_dim = 128,
                          .res2net_scale = 8,
                          .global_context_att = true};
    if (architecture_read("ecapa", architecture, KEYS, sizeof KEYS / sizeof KEYS[0], &parsed, error) < 0)
        return -1;
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

static Tdnn declare_tdnn(Scope conv, Scope norm, int64_t out, int64_t in, int64_t kernel, int64_t dilation)
{
    return (Tdnn){affine_declare(conv, 3, (int64_t[]){out, in, kernel}, true),
                  batch_norm_declare(norm, out),
                  {.padding = dilation * (kernel / 2), .dilation = dilation}};
}

static void declare_block(Ecapa *ecapa, const Scope *model, int index)
{
    const EcapaConfig *config = &ecapa->config;
    Block *block = &ecapa->blocks[index];
    int64_t channels = config->channels, width = channels / config->res2net_scale;
    int64_t squeezed = config->se_bottleneck_dim;
    Scope scope = scope_enter(model, "layer%d.se_res2block", index + 2);
    block->first =
        declare_tdnn(scope_enter(&scope, "0.conv"), scope_enter(&scope, "0.bn"), channels, channels, 1, 1);
    for (int s = 0; s < config->res2net_scale - 1; s++)
        block->res2[s] =
            declare_tdnn(scope_enter(&scope, "1.convs.%d", s), scope_enter(&scope, "1.bns.%d", s), width,
                         width, BLOCK_KERNEL, index + 2);
    block->last =
        declare_tdnn(scope_enter(&scope, "2.conv"), scope_enter(&scope, "2.bn"), channels, channels, 1, 1);
    block->squeeze =
        affine_declare(scope_enter(&scope, "3.linear1"), 2, (int64_t[]){squeezed, channels}, true);
    block->excite =
        affine_declare(scope_enter(&scope, "3.linear2"), 2, (int64_t[]){channels, squeezed}, true);
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
                            .input_width = config.feat_dim,
                            .embedding_dim = config.embed_dim,
                            .min_input = 2, // one frame has no standard deviation
                            .n_maps = N_BLOCKS};
    for (int i = 0; i < N_BLOCKS; i++)
        ecapa->base.map_dim[i] = config.channels;
    ecapa->config = config;
    Scope scope = scope_of(parameters, "");
    ecapa->first = declare_tdnn(scope_enter(&scope, "layer1.conv"), scope_enter(&scope, "layer1.bn"),
                                config.channels, config.feat_dim, FIRST_KERNEL, 1);
    for (int i = 0; i < N_BLOCKS; i++)
        declare_block(ecapa, &scope, i);
    ecapa->aggregate = affine_declare(scope_enter(&scope, "conv"), 3,
                                      (int64_t[]){pre_pool, N_BLOCKS * config.channels, 1}, true);
    ecapa->pool = attentive_pool_declare(scope_enter(&scope, "pool"), pre_pool, config.astp_bottleneck_dim,
                                         config.global_context_att);
    ecapa->pooled_norm = batch_norm_declare(scope_enter(&scope, "bn"), 2 * pre_pool);
    ecapa->embed =
        affine_declare(scope_enter(&scope, "linear"), 2, (int64_t[]){config.embed_dim, 2 * pre_pool}, true);
    if (config.emb_bn)
        ecapa->embedding_norm = batch_norm_declare(scope_enter(&scope, "bn2"), config.embed_dim);
    return &ecapa->base;
}

static void ecapa_destroy(Encoder *encoder)
{
    mem_free(encoder);
}

// --- forward

static Tensor *tdnn(Tape *tape, Tensor *x, const Tdnn *layer, bool training)
{
    TapeMark mark = tape_mark(tape);
    Tensor *y = layer->conv.weight->tensor.dim[2] == 1 ? affine_linear(tape, x, &layer->conv)
                                                       : affine_conv1d(tape, x, &layer->conv, layer->shape);
    return tape_release(tape, mark, batch_norm_apply(tape, y, &layer->norm, training, true));
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
    Tensor *gate = op_relu(tape, affine_linear(tape, op_mean_time(tape, y), &block->squeeze));
    gate = op_sigmoid(tape, affine_linear(tape, gate, &block->excite));
    return tape_release(tape, mark, op_add(tape, x, op_scale_channels(tape, y, gate)));
}

static Tensor *ecapa_forward(Encoder *encoder, Tape *tape, Tensor *input, const ForwardMode *mode)
{
    Ecapa *ecapa = (Ecapa *)encoder;
    TapeMark mark = tape_mark(tape);
    Tensor *x = tdnn(tape, input, &ecapa->first, mode->training), *outputs[N_BLOCKS];
    for (int i = 0; i < N_BLOCKS; i++)
        x = outputs[i] = se_res2_block(tape, x, &ecapa->blocks[i], &ecapa->config, mode->training);
    for (int i = 0; mode->maps && i < N_BLOCKS; i++)
        mode->maps[i] = outputs[i];
    x = op_relu(tape, affine_linear(tape, op_concat_last(tape, outputs, N_BLOCKS), &ecapa->aggregate));
    x = attentive_pool(tape, x, &ecapa->pool, mode->training);
    x = batch_norm_apply(tape, x, &ecapa->pooled_norm, mode->training, false);
    x = affine_linear(tape, x, &ecapa->embed);
    if (ecapa->config.emb_bn)
        x = batch_norm_apply(tape, x, &ecapa->embedding_norm, mode->training, false);
    return tape_release(tape, mark, x);
}

const EncoderKind ecapa_kind = {.name = "ecapa",
                                .architectures = {{"ecapa", .small = "channels=128,emb_bn=true"}},
                                .create = ecapa_create,
                                .destroy = ecapa_destroy,
                                .forward = ecapa_forward};
