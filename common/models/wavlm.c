#include "models/wavlm.h"

#include <math.h>

#include "base/memory.h"
#include "nn/transformer.h"

static const float NORM_EPSILON = 1e-5f;
enum { GATE_OUTPUTS = 8 };

typedef struct Block {
    Affine q, k, v, out;
    FeedForward feed_forward;
    LayerNorm attention_norm, final_norm;
    Affine gate;           // grep_linear
    Parameter *gate_scale; // grep_a
} Block;

struct Wavlm {
    WavlmConfig config;
    WavlmFrontEnd *front_end;
    LayerNorm feature_norm; // layer_norm
    Affine projection;      // post_extract_proj; weight NULL when channels already equal dim
    Parameter *mask_embedding;
    Parameter *pos_weight_g, *pos_weight_v, *pos_bias;
    LayerNorm encoder_norm;
    Parameter *position_table; // relative_attention_bias of block 0, shared by all
    Block *blocks;             // [layers]
};

WavlmConfig wavlm_default_config(void)
{
    return (WavlmConfig){
        .front_end = {.input = ENCODER_WAVEFORM,
                      .n_convs = 7,
                      .convs = {{512, 10, 5},
                                {512, 3, 2},
                                {512, 3, 2},
                                {512, 3, 2},
                                {512, 3, 2},
                                {512, 2, 2},
                                {512, 2, 2}}},
        .layers = 12,
        .dim = 768,
        .ffn = 3072,
        .heads = 12,
        .pos_kernel = 128,
        .pos_groups = 16,
        .n_buckets = 320,
        .max_distance = 800,
        .dropout = 0.1,
        .attention_dropout = 0.1,
        .layer_drop = 0.05,
    };
}

int wavlm_check_config(const WavlmConfig *config, Error *error)
{
    if (config->dim % config->heads)
        return error_set(error, "wavlm: encoder_attention_heads %lld does not divide encoder_embed_dim %lld",
                         (long long)config->heads, (long long)config->dim);
    if (config->dim % config->pos_groups)
        return error_set(error, "wavlm: conv_pos_groups %lld does not divide encoder_embed_dim %lld",
                         (long long)config->pos_groups, (long long)config->dim);
    if (config->n_buckets % 4 || config->max_distance <= config->n_buckets / 4)
        return error_set(error,
                         "wavlm: num_buckets %lld must be a multiple of 4, and max_distance %lld more "
                         "than a quarter of it",
                         (long long)config->n_buckets, (long long)config->max_distance);
    return wavlm_front_end_check(&config->front_end, error);
}

// --- parameters

// The reference draws with standard deviation 0.02 at dim 768; narrower models keep the same output variance.
static Init transformer_init(const WavlmConfig *config)
{
    return (Init){INIT_NORMAL, 0.02f * sqrtf(768.0f / (float)config->dim)};
}

static void declare_positional(Wavlm *wavlm, const Scope *scope)
{
    const WavlmConfig *config = &wavlm->config;
    int64_t dim = config->dim, kernel = config->pos_kernel, inputs = dim / config->pos_groups;
    float deviation = sqrtf(4.0f / (float)(kernel * dim)); // the reference's
    Init direction = {INIT_NORMAL, deviation};
    Init length = {INIT_CONSTANT, deviation * sqrtf((float)(dim * inputs))}; // the norm that such a draw has
    Scope conv = scope_enter(scope, "encoder.pos_conv.0");
    wavlm->pos_bias = scope_parameter(&conv, "bias", 1, &dim, (Init){INIT_ZERO, 0});
    wavlm->pos_weight_g = scope_parameter(&conv, "weight_g", 3, (int64_t[]){1, 1, kernel}, length);
    wavlm->pos_weight_v = scope_parameter(&conv, "weight_v", 3, (int64_t[]){dim, inputs, kernel}, direction);
}

static void declare_attention(Wavlm *wavlm, Scope scope, Block *block, bool first)
{
    const WavlmConfig *config = &wavlm->config;
    int64_t dim = config->dim, heads = config->heads, square[] = {dim, dim};
    Init init = transformer_init(config);
    block->gate_scale =
        scope_parameter(&scope, "grep_a", 4, (int64_t[]){1, heads, 1, 1}, (Init){INIT_ONE, 0});
    if (first)
        wavlm->position_table = scope_parameter(&scope, "relative_attention_bias.weight", 2,
                                                (int64_t[]){config->n_buckets, heads}, init);
    block->k = affine_declare_drawn(scope_enter(&scope, "k_proj"), 2, square, true, init);
    block->v = affine_declare_drawn(scope_enter(&scope, "v_proj"), 2, square, true, init);
    block->q = affine_declare_drawn(scope_enter(&scope, "q_proj"), 2, square, true, init);
    block->out = affine_declare_drawn(scope_enter(&scope, "out_proj"), 2, square, true, init);
    block->gate = affine_declare_drawn(scope_enter(&scope, "grep_linear"), 2,
                                       (int64_t[]){GATE_OUTPUTS, dim / heads}, true, init);
}

static void declare_block(Wavlm *wavlm, Scope scope, Block *block, bool first)
{
    const WavlmConfig *config = &wavlm->config;
    int64_t dim = config->dim, up[] = {config->ffn, dim}, down[] = {dim, config->ffn};
    Init init = transformer_init(config);
    declare_attention(wavlm, scope_enter(&scope, "self_attn"), block, first);
    block->attention_norm =
        layer_norm_declare(scope_enter(&scope, "self_attn_layer_norm"), dim, NORM_EPSILON);
    block->feed_forward.first = affine_declare_drawn(scope_enter(&scope, "fc1"), 2, up, true, init);
    block->feed_forward.second = affine_declare_drawn(scope_enter(&scope, "fc2"), 2, down, true, init);
    block->feed_forward.activation = ACTIVATION_GELU;
    block->feed_forward.inner_dropout = config->activation_dropout;
    block->feed_forward.dropout = config->dropout;
    block->final_norm = layer_norm_declare(scope_enter(&scope, "final_layer_norm"), dim, NORM_EPSILON);
}

Wavlm *wavlm_create(const WavlmConfig *config, Scope scope)
{
    Wavlm *wavlm = mem_zero(1, sizeof *wavlm);
    wavlm->config = *config;
    wavlm->blocks = mem_zero((size_t)config->layers, sizeof *wavlm->blocks);
    int64_t channels = wavlm_front_end_channels(&config->front_end), dim = config->dim;
    wavlm->mask_embedding = scope_parameter(&scope, "mask_emb", 1, &dim, (Init){INIT_UNIFORM, 1.0f});
    wavlm->front_end = wavlm_front_end_create(&config->front_end, scope);
    if (channels != dim)
        wavlm->projection =
            affine_declare_drawn(scope_enter(&scope, "post_extract_proj"), 2, (int64_t[]){dim, channels},
                                 true, (Init){INIT_UNIFORM, 1.0f / sqrtf((float)channels)});
    declare_positional(wavlm, &scope);
    for (int64_t layer = 0; layer < config->layers; layer++)
        declare_block(wavlm, scope_enter(&scope, "encoder.layers.%lld", (long long)layer),
                      &wavlm->blocks[layer], layer == 0);
    wavlm->encoder_norm = layer_norm_declare(scope_enter(&scope, "encoder.layer_norm"), dim, NORM_EPSILON);
    wavlm->feature_norm = layer_norm_declare(scope_enter(&scope, "layer_norm"), channels, NORM_EPSILON);
    return wavlm;
}

void wavlm_destroy(Wavlm *wavlm)
{
    if (!wavlm)
        return;
    wavlm_front_end_destroy(wavlm->front_end);
    mem_free(wavlm->blocks);
    mem_free(wavlm);
}

const WavlmFrontEnd *wavlm_front_end(const Wavlm *wavlm)
{
    return wavlm->front_end;
}

// --- forward

// The projected features with the positional convolution added: [B, T, dim].
static Tensor *add_positions(const Wavlm *wavlm, Tape *tape, Tensor *x)
{
    int64_t frames = x->dim[1], kernel = wavlm->config.pos_kernel;
    Tensor *weight = op_weight_norm(tape, &wavlm->pos_weight_v->tensor, &wavlm->pos_weight_g->tensor, 2);
    Tensor *y = op_conv1d(tape, x, weight, &wavlm->pos_bias->tensor,
                          (Conv1d){.padding = kernel / 2, .groups = wavlm->config.pos_groups});
    if (kernel % 2 == 0) // the padding is one frame too many
        y = op_crop_time(tape, y, frames);
    return op_add(tape, x, op_gelu(tape, y));
}

static Tensor *transformer_input(const Wavlm *wavlm, Pass *pass, Tensor *input, const bool *mask)
{
    Tape *tape = pass->tape;
    Tensor *x = wavlm_front_end_forward(wavlm->front_end, tape, input);
    x = layer_norm_apply(tape, x, &wavlm->feature_norm);
    if (wavlm->projection.weight)
        x = affine_linear(tape, x, &wavlm->projection);
    x = pass_dropout(pass, x, wavlm->config.input_dropout);
    if (mask)
        x = op_mask_frames(tape, x, mask, &wavlm->mask_embedding->tensor);
    x = add_positions(wavlm, tape, x);
    if (!wavlm->config.layer_norm_first)
        x = layer_norm_apply(tape, x, &wavlm->encoder_norm);
    return pass_dropout(pass, x, wavlm->config.dropout);
}

static Tensor *self_attention(const WavlmConfig *config, Pass *pass, const Block *block, Tensor *x,
                              Tensor *position_bias)
{
    Tape *tape = pass->tape;
    Attention attention = pass_attention(pass, config->heads, config->attention_dropout);
    Tensor *gate = op_position_gate(tape, x, &block->gate.weight->tensor, &block->gate.bias->tensor,
                                    &block->gate_scale->tensor);
    // Gradients of x add up in the opposite order, which decides their last bits.
    Tensor *v = affine_linear(tape, x, &block->v), *k = affine_linear(tape, x, &block->k);
    Tensor *q = affine_linear(tape, x, &block->q);
    Tensor *heard = op_attention(tape, q, k, v, position_bias, gate, &attention);
    return pass_dropout(pass, affine_linear(tape, heard, &block->out), config->dropout);
}

static Tensor *block_forward(const WavlmConfig *config, Pass *pass, const Block *block, Tensor *x,
                             Tensor *position_bias)
{
    Tape *tape = pass->tape;
    if (config->layer_norm_first) {
        Tensor *y = layer_norm_apply(tape, x, &block->attention_norm);
        x = op_add(tape, x, self_attention(config, pass, block, y, position_bias));
        y = layer_norm_apply(tape, x, &block->final_norm);
        return op_add(tape, x, feed_forward(pass, y, &block->feed_forward));
    }
    x = op_add(tape, x, self_attention(config, pass, block, x, position_bias));
    x = layer_norm_apply(tape, x, &block->attention_norm);
    x = op_add(tape, x, feed_forward(pass, x, &block->feed_forward));
    return layer_norm_apply(tape, x, &block->final_norm);
}

void wavlm_hidden(Wavlm *wavlm, Tape *tape, Tensor *input, const bool *mask, const ForwardMode *mode,
                  Tensor **hidden)
{
    const WavlmConfig *config = &wavlm->config;
    Pass pass = pass_begin(tape, mode, "wavlm");
    TapeMark mark = tape_mark(tape);
    hidden[0] = tape_release(tape, mark, transformer_input(wavlm, &pass, input, mask));
    Tensor *position_bias =
        op_position_bias(tape, &wavlm->position_table->tensor, hidden[0]->dim[1], config->max_distance);
    for (int64_t l = 0; l < config->layers; l++) {
        mark = tape_mark(tape);
        if (pass_chance(&pass, config->layer_drop)) { // layer drop (Fan et al. 2020): left out of this pass
            hidden[l + 1] = hidden[l];
            continue;
        }
        Tensor *y = block_forward(config, &pass, &wavlm->blocks[l], hidden[l], position_bias);
        hidden[l + 1] = tape_release(tape, mark, y);
    }
}

Tensor *wavlm_output(Wavlm *wavlm, Tape *tape, Tensor *last_hidden)
{
    return wavlm->config.layer_norm_first ? layer_norm_apply(tape, last_hidden, &wavlm->encoder_norm)
                                          : last_hidden;
}
