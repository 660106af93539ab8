// B batch, T time after subsampling, D width of a block, H heads.
#include "models/mfa_conformer.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "models/architecture_keys.h"
#include "nn/attentive_pool.h"
#include "tensor/attention.h"

enum { MAX_BLOCKS = ENCODER_MAX_MAPS, MAX_CONVS = 2, CONV_KERNEL = 3 };
static const float NORM_EPSILON = 1e-12f;

typedef struct ConformerConfig {
    int64_t num_blocks, output_size, attention_heads, linear_units, cnn_module_kernel, feat_dim,
        embedding_dim, attention_channels;
    bool by_four; // subsampling
    double dropout;
} ConformerConfig;

typedef struct FeedForward {
    Affine norm, first, second;
} FeedForward;

typedef struct Block {
    FeedForward macaron, feed_forward;
    Affine norm_attention, q, k, v, out, position; // position has no bias
    Parameter *bias_u, *bias_v;                    // [H, D / H]
    Affine norm_conv, pointwise1, depthwise, pointwise2, norm_final;
    NormLayer conv_norm;
} Block;

typedef struct Conformer {
    Encoder base;
    ConformerConfig config;
    Affine convs[MAX_CONVS], embed, after_norm, fc;
    Block blocks[MAX_BLOCKS];
    AttentivePool pool;
    NormLayer pooled_norm;
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

static Affine declare_norm(Parameters *parameters, const char *name, int64_t dim)
{
    return (Affine){parameters_add(parameters, 1, &dim, (Init){INIT_ONE, 0}, "%s.weight", name),
                    parameters_add(parameters, 1, &dim, (Init){INIT_ZERO, 0}, "%s.bias", name)};
}

// Names of a block: "conformer.encoders.<block>.<name>".
typedef struct Naming {
    Parameters *parameters;
    int block;
    char text[96];
} Naming;

static const char *named(Naming *naming, const char *name)
{
    snprintf(naming->text, sizeof naming->text, "conformer.encoders.%d.%s", naming->block, name);
    return naming->text;
}

static Affine block_affine(Naming *naming, const char *name, int n_dims, const int64_t *dims, bool bias)
{
    return affine_declare(naming->parameters, named(naming, name), n_dims, dims, bias);
}

static Affine block_norm(Naming *naming, const char *name, int64_t dim)
{
    return declare_norm(naming->parameters, named(naming, name), dim);
}

static FeedForward declare_feed_forward(Naming *naming, const char *norm, const char *first,
                                        const char *second, int64_t dim, int64_t units)
{
    return (FeedForward){block_norm(naming, norm, dim),
                         block_affine(naming, first, 2, (int64_t[]){units, dim}, true),
                         block_affine(naming, second, 2, (int64_t[]){dim, units}, true)};
}

static void declare_attention(Naming *naming, Block *block, int64_t dim, int64_t heads)
{
    int64_t square[2] = {dim, dim}, per_head[2] = {heads, dim / heads};
    Init init = {INIT_UNIFORM, sqrtf(6.0f / (float)(heads + dim / heads))}; // Xavier, as the public code
    block->norm_attention = block_norm(naming, "norm_mha", dim);
    block->q = block_affine(naming, "self_attn.linear_q", 2, square, true);
    block->k = block_affine(naming, "self_attn.linear_k", 2, square, true);
    block->v = block_affine(naming, "self_attn.linear_v", 2, square, true);
    block->out = block_affine(naming, "self_attn.linear_out", 2, square, true);
    block->position = block_affine(naming, "self_attn.linear_pos", 2, square, false);
    block->bias_u =
        parameters_add(naming->parameters, 2, per_head, init, "%s", named(naming, "self_attn.pos_bias_u"));
    block->bias_v =
        parameters_add(naming->parameters, 2, per_head, init, "%s", named(naming, "self_attn.pos_bias_v"));
}

static void declare_convolution(Naming *naming, Block *block, int64_t dim, int64_t kernel)
{
    block->norm_conv = block_norm(naming, "norm_conv", dim);
    block->pointwise1 =
        block_affine(naming, "conv_module.pointwise_conv1", 3, (int64_t[]){2 * dim, dim, 1}, true);
    block->depthwise =
        block_affine(naming, "conv_module.depthwise_conv", 3, (int64_t[]){dim, 1, kernel}, true);
    block->conv_norm = norm_declare(naming->parameters, named(naming, "conv_module.norm"), dim);
    block->pointwise2 =
        block_affine(naming, "conv_module.pointwise_conv2", 3, (int64_t[]){dim, dim, 1}, true);
}

static void declare_block(Conformer *conformer, Parameters *parameters, int index)
{
    const ConformerConfig *config = &conformer->config;
    int64_t dim = config->output_size, units = config->linear_units;
    Naming naming = {.parameters = parameters, .block = index};
    Block *block = &conformer->blocks[index];
    block->macaron = declare_feed_forward(&naming, "norm_ff_macaron", "feed_forward_macaron.w_1",
                                          "feed_forward_macaron.w_2", dim, units);
    declare_attention(&naming, block, dim, config->attention_heads);
    declare_convolution(&naming, block, dim, config->cnn_module_kernel);
    block->feed_forward =
        declare_feed_forward(&naming, "norm_ff", "feed_forward.w_1", "feed_forward.w_2", dim, units);
    block->norm_final = block_norm(&naming, "norm_final", dim);
}

static int n_convs(const ConformerConfig *config)
{
    return config->by_four ? 2 : 1;
}

static void declare_subsampling(Conformer *conformer, Parameters *parameters)
{
    const ConformerConfig *config = &conformer->config;
    int64_t dim = config->output_size, bins = config->feat_dim;
    for (int i = 0; i < n_convs(config); i++) {
        char name[64];
        snprintf(name, sizeof name, "conformer.embed.conv.%d", 2 * i);
        conformer->convs[i] = affine_declare(parameters, name, 4,
                                             (int64_t[]){dim, i ? dim : 1, CONV_KERNEL, CONV_KERNEL}, true);
        bins = (bins - CONV_KERNEL) / 2 + 1;
    }
    conformer->embed =
        affine_declare(parameters, "conformer.embed.out.0", 2, (int64_t[]){dim, dim * bins}, true);
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
    declare_subsampling(conformer, parameters);
    for (int i = 0; i < config.num_blocks; i++) {
        declare_block(conformer, parameters, i);
        conformer->base.map_dim[i] = dim;
    }
    conformer->after_norm = declare_norm(parameters, "conformer.after_norm", wide);
    conformer->pool =
        attentive_pool_declare_speechbrain(parameters, "pooling", wide, config.attention_channels);
    conformer->pooled_norm = norm_declare(parameters, "bn.norm", 2 * wide);
    conformer->fc = affine_declare(parameters, "fc", 2, (int64_t[]){config.embedding_dim, 2 * wide}, true);
    return &conformer->base;
}

static void conformer_destroy(Encoder *encoder)
{
    mem_free(encoder);
}

// --- forward

// One pass: every dropout in it takes the next stream.
typedef struct Pass {
    const Conformer *conformer;
    Tape *tape;
    const ForwardMode *mode;
    uint64_t n_streams;
    Tensor *positions; // [1, T, D]
} Pass;

static Rng next_stream(Pass *pass)
{
    return rng_stream(pass->mode->rng.key, "conformer", pass->mode->rng.counter, pass->n_streams++);
}

static Tensor *dropout(Pass *pass, Tensor *x)
{
    double probability = pass->conformer->config.dropout;
    if (!pass->mode->training || probability <= 0)
        return x;
    return op_dropout(pass->tape, x, (float)probability, next_stream(pass));
}

static Tensor *layer_norm(Tape *tape, Tensor *x, const Affine *norm)
{
    return op_layer_norm(tape, x, &norm->weight->tensor, &norm->bias->tensor, NORM_EPSILON);
}

// Half a feed-forward layer, added to x.
static Tensor *add_feed_forward(Pass *pass, Tensor *x, const FeedForward *layer)
{
    Tape *tape = pass->tape;
    TapeMark mark = tape_mark(tape);
    Tensor *y = op_swish(tape, affine_linear(tape, layer_norm(tape, x, &layer->norm), &layer->first));
    y = dropout(pass, affine_linear(tape, dropout(pass, y), &layer->second));
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

// The position's encoding for every utterance of the batch: [B, T, D].
static Tensor *positions_of(Pass *pass, const Block *block, int64_t batch)
{
    int64_t *first = tape_scratch(pass->tape, (size_t)batch * sizeof(int64_t));
    memset(first, 0, (size_t)batch * sizeof(int64_t));
    return op_gather_first(pass->tape, affine_linear(pass->tape, pass->positions, &block->position), first,
                           batch);
}

// Scores ((q + u) k + (q + v) p) / sqrt(d) are products of [q + u, q + v] with [k, p], of 2d dimensions a
// head, times sqrt(2) for the d under the root.
static Tensor *add_attention(Pass *pass, Tensor *x, const Block *block)
{
    Tape *tape = pass->tape;
    TapeMark mark = tape_mark(tape);
    int64_t heads = pass->conformer->config.attention_heads;
    double probability = pass->mode->training ? pass->conformer->config.dropout : 0;
    Attention attention = {.heads = heads, .dropout = (float)probability};
    if (probability > 0)
        attention.rng = next_stream(pass);
    Tensor *y = layer_norm(tape, x, &block->norm_attention);
    Tensor *q = join_heads(tape, query(tape, y, &block->q, block->bias_u),
                           query(tape, y, &block->q, block->bias_v), heads);
    Tensor *k =
        join_heads(tape, affine_linear(tape, y, &block->k), positions_of(pass, block, x->dim[0]), heads);
    Tensor *v = affine_linear(tape, y, &block->v);
    Tensor *heard = op_attention(tape, op_scale(tape, q, sqrtf(2)), k, v, NULL, NULL, &attention);
    heard = dropout(pass, affine_linear(tape, heard, &block->out));
    return tape_release(tape, mark, op_add(tape, x, heard));
}

static Tensor *add_convolution(Pass *pass, Tensor *x, const Block *block)
{
    Tape *tape = pass->tape;
    TapeMark mark = tape_mark(tape);
    int64_t dim = tensor_cols(x);
    Tensor *y = affine_linear(tape, layer_norm(tape, x, &block->norm_conv), &block->pointwise1);
    y = op_mul(tape, op_slice_last(tape, y, 0, dim),
               op_sigmoid(tape, op_slice_last(tape, y, dim, dim))); // GLU
    y = op_depthwise_conv1d(tape, y, &block->depthwise.weight->tensor, &block->depthwise.bias->tensor);
    y = op_swish(tape, norm_apply(tape, y, &block->conv_norm, pass->mode->training, false));
    y = dropout(pass, affine_linear(tape, y, &block->pointwise2));
    return tape_release(tape, mark, op_add(tape, x, y));
}

static Tensor *block_forward(Pass *pass, Tensor *x, const Block *block)
{
    x = add_feed_forward(pass, x, &block->macaron);
    x = add_attention(pass, x, block);
    x = add_convolution(pass, x, block);
    x = add_feed_forward(pass, x, &block->feed_forward);
    return layer_norm(pass->tape, x, &block->norm_final);
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
static Tensor *subsample(Pass *pass, Tensor *input)
{
    const Conformer *conformer = pass->conformer;
    Tape *tape = pass->tape;
    Conv2d shape = {.stride = 2, .time_first = true};
    Tensor *x = op_reshape(tape, input, 4, (int64_t[]){input->dim[0], input->dim[1], input->dim[2], 1});
    for (int i = 0; i < n_convs(&conformer->config); i++) {
        const Affine *conv = &conformer->convs[i];
        x = op_relu(tape, op_conv2d(tape, x, &conv->weight->tensor, &conv->bias->tensor, shape));
    }
    x = op_swap_last(tape, x); // channels by bins
    x = op_reshape(tape, x, 3, (int64_t[]){x->dim[0], x->dim[1], x->dim[2] * x->dim[3]});
    x = affine_linear(tape, x, &conformer->embed);
    return dropout(pass, op_scale(tape, x, sqrtf((float)tensor_cols(x))));
}

static Tensor *conformer_forward(Encoder *encoder, Tape *tape, Tensor *input, const ForwardMode *mode)
{
    const Conformer *conformer = (const Conformer *)encoder;
    Pass pass = {.conformer = conformer, .tape = tape, .mode = mode};
    TapeMark mark = tape_mark(tape);
    Tensor *x = tape_release(tape, mark, subsample(&pass, input)), *outputs[MAX_BLOCKS];
    pass.positions = encode_positions(tape, x->dim[1], x->dim[2]);
    for (int i = 0; i < encoder->n_maps; i++) {
        TapeMark before = tape_mark(tape);
        x = outputs[i] = tape_release(tape, before, block_forward(&pass, x, &conformer->blocks[i]));
        if (mode->maps)
            mode->maps[i] = x;
    }
    x = layer_norm(tape, op_concat_last(tape, outputs, encoder->n_maps), &conformer->after_norm);
    x = attentive_pool(tape, x, &conformer->pool, mode->training);
    x = norm_apply(tape, x, &conformer->pooled_norm, mode->training, false);
    return tape_release(tape, mark, affine_linear(tape, x, &conformer->fc));
}

const EncoderKind mfa_conformer_kind = {
    .name = "mfa_conformer",
    .architectures = {{"mfa-conformer",
                       .small = "num_blocks=3,output_size=96,linear_units=384,cnn_module_kernel=15"}},
    .create = conformer_create,
    .destroy = conformer_destroy,
    .forward = conformer_forward};
