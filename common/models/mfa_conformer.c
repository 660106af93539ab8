// B batch, T time after subsampling, D width of a block, H heads.
#include "models/mfa_conformer.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/memory.h"
#include "models/architecture_keys.h"
#include "nn/attentive_pool.h"
#include "nn/transformer.h"

enum { MAX_BLOCKS = ENCODER_MAX_MAPS, MAX_CONVS = 2, CONV_KERNEL = 3 };
static const float NORM_EPSILON = 1e-12f;

typedef struct ConformerConfig {
    int64_t num_blocks, output_size, attention_heads, linear_units, cnn_module_kernel, feat_dim,
        embedding_dim, attention_channels;
    bool by_four; // subsampling
    double dropout;
} ConformerConfig;

typedef struct Block {
    LayerNorm norm_macaron, norm_attention, norm_conv, norm_feed_forward, norm_final;
    FeedForward macaron, feed_forward;
    Affine q, k, v, out, position; // position has no bias
    Parameter *bias_u, *bias_v;    // [H, D / H]
    Affine pointwise1, depthwise, pointwise2;
    BatchNormLayer conv_norm;
} Block;

typedef struct Conformer {
    Encoder base;
    ConformerConfig config;
    Affine convs[MAX_CONVS], embed, fc;
    Block blocks[MAX_BLOCKS];
    LayerNorm after_norm;
    AttentivePool pool;
    BatchNormLayer pooled_norm;
} Conformer;

#define AT(field) offsetof(ConformerConfig, field)
static const ArchitectureKey KEYS[] = {
    {"num_blocks", KEY_COUNT, AT(num_blocks), MAX_BLOCKS, {0}},
    {"output_size", KEY_COUNT, AT(output_size), 1 << 14, {0}},
    {"attention_heads", KEY_COUNT, AT(attention_heads), 1 << 10, {0}},
    {"linear_units", KEY_COUNT, AT(linear_units), 1 << 16, {0}},
    {"cnn_module_kernel", KEY_COUNT, AT(cnn_module_kernel), 255, {0}},
    {"feat_dim", KEY_COUNT, AT(feat_dim), 4096, {0}},
    {"embedding_dim", KEY_COUNT, AT(embedding_dim), 1 << 16, {0}},
    {"attention_channels", KEY_COUNT, AT(attention_channels), 1 << 14, {0}},
    {"input_layer", KEY_CHOICE, AT(by_four), 0, {"conv2d2", "conv2d"}},
    {"dropout", KEY_PROBABILITY, AT(dropout), 0, {0}},
};
#undef AT

// --- declaration

// The norm in front of a feed-forward layer is declared before it: the order is the file's.
static FeedForward declare_feed_forward(const Scope *scope, const char *norm_name, const char *name,
                                        const ConformerConfig *config, LayerNorm *norm)
{
    int64_t dim = config->output_size, units = config->linear_units;
    *norm = layer_norm_declare(scope_enter(scope, "%s", norm_name), dim, NORM_EPSILON);
    return (FeedForward){
        .first = affine_declare(scope_enter(scope, "%s.w_1", name), 2, (int64_t[]){units, dim}, true),
        .second = affine_declare(scope_enter(scope, "%s.w_2", name), 2, (int64_t[]){dim, units}, true),
        .activation = ACTIVATION_SWISH,
        .inner_dropout = config->dropout,
        .dropout = config->dropout};
}

static void declare_attention(const Scope *block_scope, Block *block, int64_t dim, int64_t heads)
{
    int64_t square[2] = {dim, dim}, per_head[2] = {heads, dim / heads};
    Init init = {INIT_UNIFORM, sqrtf(6.0f / (float)(heads + dim / heads))}; // Xavier, as the public code
    block->norm_attention = layer_norm_declare(scope_enter(block_scope, "norm_mha"), dim, NORM_EPSILON);
    Scope scope = scope_enter(block_scope, "self_attn");
    block->q = affine_declare(scope_enter(&scope, "linear_q"), 2, square, true);
    block->k = affine_declare(scope_enter(&scope, "linear_k"), 2, square, true);
    block->v = affine_declare(scope_enter(&scope, "linear_v"), 2, square, true);
    block->out = affine_declare(scope_enter(&scope, "linear_out"), 2, square, true);
    block->position = affine_declare(scope_enter(&scope, "linear_pos"), 2, square, false);
    block->bias_u = scope_parameter(&scope, "pos_bias_u", 2, per_head, init);
    block->bias_v = scope_parameter(&scope, "pos_bias_v", 2, per_head, init);
}

static void declare_convolution(const Scope *block_scope, Block *block, int64_t dim, int64_t kernel)
{
    block->norm_conv = layer_norm_declare(scope_enter(block_scope, "norm_conv"), dim, NORM_EPSILON);
    Scope scope = scope_enter(block_scope, "conv_module");
    block->pointwise1 =
        affine_declare(scope_enter(&scope, "pointwise_conv1"), 3, (int64_t[]){2 * dim, dim, 1}, true);
    block->depthwise =
        affine_declare(scope_enter(&scope, "depthwise_conv"), 3, (int64_t[]){dim, 1, kernel}, true);
    block->conv_norm = batch_norm_declare(scope_enter(&scope, "norm"), dim);
    block->pointwise2 =
        affine_declare(scope_enter(&scope, "pointwise_conv2"), 3, (int64_t[]){dim, dim, 1}, true);
}

static void declare_block(Scope scope, const ConformerConfig *config, Block *block)
{
    int64_t dim = config->output_size;
    block->macaron =
        declare_feed_forward(&scope, "norm_ff_macaron", "feed_forward_macaron", config, &block->norm_macaron);
    declare_attention(&scope, block, dim, config->attention_heads);
    declare_convolution(&scope, block, dim, config->cnn_module_kernel);
    block->feed_forward =
        declare_feed_forward(&scope, "norm_ff", "feed_forward", config, &block->norm_feed_forward);
    block->norm_final = layer_norm_declare(scope_enter(&scope, "norm_final"), dim, NORM_EPSILON);
}

static int n_convs(const ConformerConfig *config)
{
    return config->by_four ? 2 : 1;
}

static void declare_subsampling(Conformer *conformer, Scope scope)
{
    const ConformerConfig *config = &conformer->config;
    int64_t dim = config->output_size, bins = config->feat_dim;
    for (int i = 0; i < n_convs(config); i++) {
        const int64_t dims[4] = {dim, i ? dim : 1, CONV_KERNEL, CONV_KERNEL};
        conformer->convs[i] = affine_declare(scope_enter(&scope, "conv.%d", 2 * i), 4, dims, true);
        bins = (bins - CONV_KERNEL) / 2 + 1;
    }
    conformer->embed = affine_declare(scope_enter(&scope, "out.0"), 2, (int64_t[]){dim, dim * bins}, true);
}

static int parse(const cJSON *architecture, ConformerConfig *config, Error *error)
{
    *config = (ConformerConfig){.num_blocks = 6,
                                .output_size = 256,
                                .attention_heads = 4,
                                .linear_units = 2048,
                                .cnn_module_kernel = 15,
                                .feat_dim = 80,
                                .embedding_dim = 192,
                                .attention_channels = 128,
                                .dropout = 0.1};
    if (architecture_read("mfa_conformer", architecture, KEYS, sizeof KEYS / sizeof KEYS[0], config, error) <
        0)
        return -1;
    if (config->output_size % config->attention_heads != 0 || config->output_size % 2 != 0)
        return error_set(
            error, "mfa_conformer: output_size %lld must be even and a multiple of attention_heads %lld",
            (long long)config->output_size, (long long)config->attention_heads);
    if (config->cnn_module_kernel % 2 == 0 || config->feat_dim < 7)
        return error_set(error, "mfa_conformer: cnn_module_kernel must be odd and feat_dim at least 7");
    return 0;
}

static Encoder *conformer_create(const cJSON *architecture, Parameters *parameters, Error *error)
{
    ConformerConfig config;
    if (parse(architecture, &config, error) < 0)
        return NULL;
    Conformer *conformer = mem_zero(1, sizeof *conformer);
    int64_t dim = config.output_size, wide = config.num_blocks * dim;
    conformer->config = config;
    conformer->base = (Encoder){.kind = &mfa_conformer_kind,
                                .input = ENCODER_FBANK,
                                .input_width = config.feat_dim,
                                .embedding_dim = config.embedding_dim,
                                .min_input = config.by_four ? 11 : 5, // two frames after subsampling
                                .n_maps = (int)config.num_blocks};
    Scope scope = scope_of(parameters, ""), body = scope_enter(&scope, "conformer");
    declare_subsampling(conformer, scope_enter(&body, "embed"));
    for (int i = 0; i < config.num_blocks; i++) {
        declare_block(scope_enter(&body, "encoders.%d", i), &config, &conformer->blocks[i]);
        conformer->base.map_dim[i] = dim;
    }
    conformer->after_norm = layer_norm_declare(scope_enter(&body, "after_norm"), wide, NORM_EPSILON);
    conformer->pool =
        attentive_pool_declare_speechbrain(scope_enter(&scope, "pooling"), wide, config.attention_channels);
    conformer->pooled_norm = batch_norm_declare(scope_enter(&scope, "bn.norm"), 2 * wide);
    conformer->fc =
        affine_declare(scope_enter(&scope, "fc"), 2, (int64_t[]){config.embedding_dim, 2 * wide}, true);
    return &conformer->base;
}

static void conformer_destroy(Encoder *encoder)
{
    mem_free(encoder);
}

// --- forward

// Half a feed-forward layer, added to x.
static Tensor *add_feed_forward(Pass *pass, Tensor *x, const LayerNorm *norm, const FeedForward *layer)
{
    Tape *tape = pass->tape;
    TapeMark mark = tape_mark(tape);
    Tensor *y = feed_forward(pass, layer_norm_apply(tape, x, norm), layer);
    return tape_release(tape, mark, op_add(tape, x, op_scale(tape, y, 0.5f)));
}

// A linear layer whose bias is joined by a bias per head [H, D / H].
static Tensor *query(Tape *tape, Tensor *x, const Affine *layer, const Parameter *bias)
{
    Tensor *flat = op_reshape(tape, (Tensor *)&bias->tensor, 1, (int64_t[]){tensor_size(&bias->tensor)});
    return op_linear(tape, x, &layer->weight->tensor, op_add(tape, &layer->bias->tensor, flat));
}

// Two [B, T, H d] side by side within each head: [B, T, H 2d].
static Tensor *join_heads(Tape *tape, Tensor *a, Tensor *b, int64_t heads)
{
    int64_t batch = a->dim[0], time = a->dim[1], dim = a->dim[2],
            split[4] = {batch, time, heads, dim / heads};
    Tensor *joined =
        op_concat_last(tape, (Tensor *[]){op_reshape(tape, a, 4, split), op_reshape(tape, b, 4, split)}, 2);
    return op_reshape(tape, joined, 3, (int64_t[]){batch, time, 2 * dim});
}

// The positions' encoding for every utterance of the batch: [B, T, D].
static Tensor *positions_of(Tape *tape, Tensor *positions, const Block *block, int64_t batch)
{
    int64_t *first = tape_scratch(tape, (size_t)batch * sizeof(int64_t));
    memset(first, 0, (size_t)batch * sizeof(int64_t));
    return op_gather_first(tape, affine_linear(tape, positions, &block->position), first, batch);
}

// Scores ((q + u) k + (q + v) p) / sqrt(d) are products of [q + u, q + v] with [k, p], of 2d dimensions a
// head, times sqrt(2) for the d under the root.
static Tensor *add_attention(Pass *pass, Tensor *x, const ConformerConfig *config, const Block *block,
                             Tensor *positions)
{
    Tape *tape = pass->tape;
    TapeMark mark = tape_mark(tape);
    int64_t heads = config->attention_heads;
    Attention attention = pass_attention(pass, heads, config->dropout);
    Tensor *y = layer_norm_apply(tape, x, &block->norm_attention);
    Tensor *q = join_heads(tape, query(tape, y, &block->q, block->bias_u),
                           query(tape, y, &block->q, block->bias_v), heads);
    Tensor *k = join_heads(tape, affine_linear(tape, y, &block->k),
                           positions_of(tape, positions, block, x->dim[0]), heads);
    Tensor *v = affine_linear(tape, y, &block->v);
    Tensor *heard = op_attention(tape, op_scale(tape, q, sqrtf(2)), k, v, NULL, NULL, &attention);
    heard = pass_dropout(pass, affine_linear(tape, heard, &block->out), config->dropout);
    return tape_release(tape, mark, op_add(tape, x, heard));
}

static Tensor *add_convolution(Pass *pass, Tensor *x, const ConformerConfig *config, const Block *block)
{
    Tape *tape = pass->tape;
    TapeMark mark = tape_mark(tape);
    int64_t dim = tensor_cols(x);
    Tensor *y = affine_linear(tape, layer_norm_apply(tape, x, &block->norm_conv), &block->pointwise1);
    y = op_mul(tape, op_slice_last(tape, y, 0, dim),
               op_sigmoid(tape, op_slice_last(tape, y, dim, dim))); // GLU
    y = op_depthwise_conv1d(tape, y, &block->depthwise.weight->tensor, &block->depthwise.bias->tensor);
    y = op_swish(tape, batch_norm_apply(tape, y, &block->conv_norm, pass->mode->training, false));
    y = pass_dropout(pass, affine_linear(tape, y, &block->pointwise2), config->dropout);
    return tape_release(tape, mark, op_add(tape, x, y));
}

static Tensor *block_forward(Pass *pass, Tensor *x, const ConformerConfig *config, const Block *block,
                             Tensor *positions)
{
    x = add_feed_forward(pass, x, &block->norm_macaron, &block->macaron);
    x = add_attention(pass, x, config, block, positions);
    x = add_convolution(pass, x, config, block);
    x = add_feed_forward(pass, x, &block->norm_feed_forward, &block->feed_forward);
    return layer_norm_apply(pass->tape, x, &block->norm_final);
}

// Sines and cosines of the position in turn (Vaswani et al. 2017): [1, T, D].
static Tensor *encode_positions(Tape *tape, int64_t time, int64_t dim)
{
    Tensor *x = tape_tensor(tape, 3, (int64_t[]){1, time, dim});
    for (int64_t t = 0; t < time; t++)
        for (int64_t d = 0; d < dim; d += 2) {
            double angle = (double)t * exp(-log(10000.0) * (double)d / (double)dim);
            x->data[t * dim + d] = (float)sin(angle);
            x->data[t * dim + d + 1] = (float)cos(angle);
        }
    return x;
}

// [B, frames, bins] -> [B, T, D], scaled by sqrt(D) as embeddings are before positions come in.
static Tensor *subsample(Pass *pass, Tensor *input, const Conformer *conformer)
{
    Tape *tape = pass->tape;
    Conv2d shape = {.stride = 2, .time_first = true};
    Tensor *x = op_reshape(tape, input, 4, (int64_t[]){input->dim[0], input->dim[1], input->dim[2], 1});
    for (int i = 0; i < n_convs(&conformer->config); i++)
        x = op_relu(tape, affine_conv2d(tape, x, &conformer->convs[i], shape));
    x = op_swap_last(tape, x); // channels by bins
    x = op_reshape(tape, x, 3, (int64_t[]){x->dim[0], x->dim[1], x->dim[2] * x->dim[3]});
    x = affine_linear(tape, x, &conformer->embed);
    return pass_dropout(pass, op_scale(tape, x, sqrtf((float)tensor_cols(x))), conformer->config.dropout);
}

static Tensor *conformer_forward(Encoder *encoder, Tape *tape, Tensor *input, const ForwardMode *mode)
{
    const Conformer *conformer = (const Conformer *)encoder;
    Pass pass = pass_begin(tape, mode, "conformer");
    TapeMark mark = tape_mark(tape);
    Tensor *x = tape_release(tape, mark, subsample(&pass, input, conformer)), *outputs[MAX_BLOCKS];
    Tensor *positions = encode_positions(tape, x->dim[1], x->dim[2]);
    for (int i = 0; i < encoder->n_maps; i++) {
        TapeMark before = tape_mark(tape);
        Tensor *y = block_forward(&pass, x, &conformer->config, &conformer->blocks[i], positions);
        x = outputs[i] = tape_release(tape, before, y);
        if (mode->maps)
            mode->maps[i] = x;
    }
    x = layer_norm_apply(tape, op_concat_last(tape, outputs, encoder->n_maps), &conformer->after_norm);
    x = attentive_pool(tape, x, &conformer->pool, mode->training);
    x = batch_norm_apply(tape, x, &conformer->pooled_norm, mode->training, false);
    return tape_release(tape, mark, affine_linear(tape, x, &conformer->fc));
}

const EncoderKind mfa_conformer_kind = {
    .name = "mfa_conformer",
    .architectures = {{"mfa-conformer",
                       .small = "num_blocks=3,output_size=96,linear_units=384,cnn_module_kernel=15"}},
    .create = conformer_create,
    .destroy = conformer_destroy,
    .forward = conformer_forward};
