#include "models/wavlm.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/memory.h"
#include "models/wavlm_parts.h"
#include "tensor/attention.h"
#include "tensor/ops.h"

static const float NORM_EPSILON = 1e-5f;
enum { GATE_OUTPUTS = 8 };

WavlmConfig wavlm_default_config(void)
{
    return (WavlmConfig){
        .input = ENCODER_WAVEFORM,
        .n_convs = 7,
        .convs = {{512, 10, 5}, {512, 3, 2}, {512, 3, 2}, {512, 3, 2}, {512, 3, 2}, {512, 2, 2}, {512, 2, 2}},
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
    if (wavlm_min_input(config) > WAVLM_MOST_SAMPLES)
        return error_set(error, "wavlm: conv_feature_layers make one frame of more than %d samples",
                         WAVLM_MOST_SAMPLES);
    return 0;
}

// --- parameters

Affine wavlm_add_affine(Parameters *parameters, const char *prefix, const char *name, int n_dims,
                        const int64_t *dims, Init init, bool bias)
{
    Affine affine = {.weight = parameters_add(parameters, n_dims, dims, init, "%s%s.weight", prefix, name)};
    if (bias)
        affine.bias = parameters_add(parameters, 1, dims, (Init){INIT_ZERO, 0}, "%s%s.bias", prefix, name);
    return affine;
}

Affine wavlm_add_norm(Parameters *parameters, const char *prefix, const char *name, int64_t dim)
{
    return wavlm_add_affine(parameters, prefix, name, 1, &dim, (Init){INIT_ONE, 0}, true);
}

// The reference draws with standard deviation 0.02 at dim 768; narrower models keep the same output variance.
static Init transformer_init(const WavlmConfig *config)
{
    return (Init){INIT_NORMAL, 0.02f * sqrtf(768.0f / (float)config->dim)};
}

static void declare_positional(Wavlm *wavlm, const char *prefix, Parameters *parameters)
{
    const WavlmConfig *config = &wavlm->config;
    int64_t dim = config->dim, kernel = config->pos_kernel, inputs = dim / config->pos_groups;
    float deviation = sqrtf(4.0f / (float)(kernel * dim)); // the reference's
    Init direction = {INIT_NORMAL, deviation};
    Init length = {INIT_CONSTANT, deviation * sqrtf((float)(dim * inputs))}; // the norm that such a draw has
    wavlm->pos_bias =
        parameters_add(parameters, 1, &dim, (Init){INIT_ZERO, 0}, "%sencoder.pos_conv.0.bias", prefix);
    wavlm->pos_weight_g = parameters_add(parameters, 3, (int64_t[]){1, 1, kernel}, length,
                                         "%sencoder.pos_conv.0.weight_g", prefix);
    wavlm->pos_weight_v = parameters_add(parameters, 3, (int64_t[]){dim, inputs, kernel}, direction,
                                         "%sencoder.pos_conv.0.weight_v", prefix);
}

static void declare_block(Wavlm *wavlm, const char *model_prefix, Parameters *parameters, int64_t layer)
{
    const WavlmConfig *config = &wavlm->config;
    WavlmBlock *block = &wavlm->blocks[layer];
    int64_t dim = config->dim, heads = config->heads, square[] = {dim, dim};
    char prefix[WAVLM_NAME_SIZE];
    snprintf(prefix, sizeof prefix, "%sencoder.layers.%lld.", model_prefix, (long long)layer);
    Init init = transformer_init(config);
    block->gate_scale = parameters_add(parameters, 4, (int64_t[]){1, heads, 1, 1}, (Init){INIT_ONE, 0},
                                       "%sself_attn.grep_a", prefix);
    if (layer == 0)
        wavlm->position_table = parameters_add(parameters, 2, (int64_t[]){config->n_buckets, heads}, init,
                                               "%sself_attn.relative_attention_bias.weight", prefix);
    block->k = wavlm_add_affine(parameters, prefix, "self_attn.k_proj", 2, square, init, true);
    block->v = wavlm_add_affine(parameters, prefix, "self_attn.v_proj", 2, square, init, true);
    block->q = wavlm_add_affine(parameters, prefix, "self_attn.q_proj", 2, square, init, true);
    block->out = wavlm_add_affine(parameters, prefix, "self_attn.out_proj", 2, square, init, true);
    block->gate = wavlm_add_affine(parameters, prefix, "self_attn.grep_linear", 2,
                                   (int64_t[]){GATE_OUTPUTS, dim / heads}, init, true);
    block->attention_norm = wavlm_add_norm(parameters, prefix, "self_attn_layer_norm", dim);
    block->fc1 = wavlm_add_affine(parameters, prefix, "fc1", 2, (int64_t[]){config->ffn, dim}, init, true);
    block->fc2 = wavlm_add_affine(parameters, prefix, "fc2", 2, (int64_t[]){dim, config->ffn}, init, true);
    block->final_norm = wavlm_add_norm(parameters, prefix, "final_layer_norm", dim);
}

Wavlm *wavlm_create(const WavlmConfig *config, const char *prefix, Parameters *parameters)
{
    Wavlm *wavlm = mem_zero(1, sizeof *wavlm);
    wavlm->config = *config;
    wavlm->blocks = mem_zero((size_t)config->layers, sizeof *wavlm->blocks);
    int64_t channels = config->convs[config->n_convs - 1].channels, dim = config->dim;
    wavlm->mask_embedding =
        parameters_add(parameters, 1, &dim, (Init){INIT_UNIFORM, 1.0f}, "%smask_emb", prefix);
    wavlm_declare_front_end(wavlm, prefix, parameters);
    if (channels != dim)
        wavlm->projection =
            wavlm_add_affine(parameters, prefix, "post_extract_proj", 2, (int64_t[]){dim, channels},
                             (Init){INIT_UNIFORM, 1.0f / sqrtf((float)channels)}, true);
    declare_positional(wavlm, prefix, parameters);
    for (int64_t layer = 0; layer < config->layers; layer++)
        declare_block(wavlm, prefix, parameters, layer);
    wavlm->encoder_norm = wavlm_add_norm(parameters, prefix, "encoder.layer_norm", dim);
    wavlm->feature_norm = wavlm_add_norm(parameters, prefix, "layer_norm", channels);
    return wavlm;
}

void wavlm_destroy(Wavlm *wavlm)
{
    if (wavlm)
        mem_free(wavlm->blocks);
    mem_free(wavlm);
}

// --- forward

// One pass: every dropout in it takes the next stream.
typedef struct Pass {
    Wavlm *wavlm;
    Tape *tape;
    const ForwardMode *mode;
    uint64_t n_streams;
    Tensor *position_bias; // [H, 2T-1]
} Pass;

static Rng next_stream(Pass *pass)
{
    return rng_stream(pass->mode->rng.key, "wavlm", pass->mode->rng.counter, pass->n_streams++);
}

static Tensor *dropout(Pass *pass, Tensor *x, double probability)
{
    if (!pass->mode->training || probability <= 0.0)
        return x;
    return op_dropout(pass->tape, x, (float)probability, next_stream(pass));
}

Tensor *wavlm_layer_norm(Tape *tape, Tensor *x, const Affine *norm)
{
    return op_layer_norm(tape, x, &norm->weight->tensor, &norm->bias->tensor, NORM_EPSILON);
}

// The projected features with the positional convolution added: [B, T, dim].
static Tensor *add_positions(Pass *pass, Tensor *x)
{
    Wavlm *wavlm = pass->wavlm;
    Tape *tape = pass->tape;
    int64_t frames = x->dim[1], kernel = wavlm->config.pos_kernel;
    Tensor *weight = op_weight_norm(tape, &wavlm->pos_weight_v->tensor, &wavlm->pos_weight_g->tensor, 2);
    Tensor *y = op_conv1d(tape, x, weight, &wavlm->pos_bias->tensor,
                          (Conv1d){.padding = kernel / 2, .groups = wavlm->config.pos_groups});
    if (kernel % 2 == 0) // the padding is one frame too many
        y = op_crop_time(tape, y, frames);
    return op_add(tape, x, op_gelu(tape, y));
}

static Tensor *transformer_input(Pass *pass, Tensor *input, const bool *mask)
{
    Wavlm *wavlm = pass->wavlm;
    Tape *tape = pass->tape;
    Tensor *x = wavlm_layer_norm(tape, wavlm_features(wavlm, tape, input), &wavlm->feature_norm);
    if (wavlm->projection.weight)
        x = affine_linear(tape, x, &wavlm->projection);
    x = dropout(pass, x, wavlm->config.input_dropout);
    if (mask)
        x = op_mask_frames(tape, x, mask, &wavlm->mask_embedding->tensor);
    x = add_positions(pass, x);
    if (!wavlm->config.layer_norm_first)
        x = wavlm_layer_norm(tape, x, &wavlm->encoder_norm);
    return dropout(pass, x, wavlm->config.dropout);
}

static Tensor *self_attention(Pass *pass, const WavlmBlock *block, Tensor *x)
{
    Tape *tape = pass->tape;
    const WavlmConfig *config = &pass->wavlm->config;
    Attention attention = {.heads = config->heads};
    if (pass->mode->training && config->attention_dropout > 0.0) {
        attention.dropout = (float)config->attention_dropout;
        attention.rng = next_stream(pass);
    }
    Tensor *gate = op_position_gate(tape, x, &block->gate.weight->tensor, &block->gate.bias->tensor,
                                    &block->gate_scale->tensor);
    Tensor *heard = op_attention(tape, affine_linear(tape, x, &block->q), affine_linear(tape, x, &block->k),
                                 affine_linear(tape, x, &block->v), pass->position_bias, gate, &attention);
    return dropout(pass, affine_linear(tape, heard, &block->out), config->dropout);
}

static Tensor *feed_forward(Pass *pass, const WavlmBlock *block, Tensor *x)
{
    const WavlmConfig *config = &pass->wavlm->config;
    x = op_gelu(pass->tape, affine_linear(pass->tape, x, &block->fc1));
    x = affine_linear(pass->tape, dropout(pass, x, config->activation_dropout), &block->fc2);
    return dropout(pass, x, config->dropout);
}

static Tensor *block_forward(Pass *pass, const WavlmBlock *block, Tensor *x)
{
    Tape *tape = pass->tape;
    if (pass->wavlm->config.layer_norm_first) {
        x = op_add(tape, x, self_attention(pass, block, wavlm_layer_norm(tape, x, &block->attention_norm)));
        return op_add(tape, x, feed_forward(pass, block, wavlm_layer_norm(tape, x, &block->final_norm)));
    }
    x = wavlm_layer_norm(tape, op_add(tape, x, self_attention(pass, block, x)), &block->attention_norm);
    return wavlm_layer_norm(tape, op_add(tape, x, feed_forward(pass, block, x)), &block->final_norm);
}

// Layer drop (Fan et al. 2020): the whole block is left out of this pass.
static bool drop_layer(Pass *pass)
{
    if (!pass->mode->training || pass->wavlm->config.layer_drop <= 0.0)
        return false;
    Rng rng = next_stream(pass);
    return rng_uniform(&rng) < pass->wavlm->config.layer_drop;
}

void wavlm_hidden(Wavlm *wavlm, Tape *tape, Tensor *input, const bool *mask, const ForwardMode *mode,
                  Tensor **hidden)
{
    Pass pass = {.wavlm = wavlm, .tape = tape, .mode = mode};
    TapeMark mark = tape_mark(tape);
    hidden[0] = tape_release(tape, mark, transformer_input(&pass, input, mask));
    pass.position_bias =
        op_position_bias(tape, &wavlm->position_table->tensor, hidden[0]->dim[1], wavlm->config.max_distance);
    for (int64_t l = 0; l < wavlm->config.layers; l++) {
        mark = tape_mark(tape);
        hidden[l + 1] = drop_layer(&pass)
                            ? hidden[l]
                            : tape_release(tape, mark, block_forward(&pass, &wavlm->blocks[l], hidden[l]));
    }
}

Tensor *wavlm_output(Wavlm *wavlm, Tape *tape, Tensor *last_hidden)
{
    if (!wavlm->config.layer_norm_first)
        return last_hidden;
    return wavlm_layer_norm(tape, last_hidden, &wavlm->encoder_norm);
}
