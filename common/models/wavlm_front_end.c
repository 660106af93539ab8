#include "models/wavlm_front_end.h"

#include <math.h>

#include "base/memory.h"
#include "nn/layers.h"

enum { FBANK_CONVS = 2 };
static const float NORM_EPSILON = 1e-5f;

// Log-mel frames come every 10 ms: the second convolution halves the rate to the 20 ms of the waveform's.
static const Conv1d FBANK_SHAPE[FBANK_CONVS] = {{.stride = 1, .padding = 2}, {.stride = 2, .padding = 1}};
static const int64_t FBANK_KERNEL[FBANK_CONVS] = {5, 3};

struct WavlmFrontEnd {
    WavlmFrontEndConfig config;
    Affine conv[WAVLM_MAX_CONVS];
    LayerNorm norm[WAVLM_MAX_CONVS]; // weight NULL: none behind this convolution
};

// --- sizes

int64_t wavlm_front_end_channels(const WavlmFrontEndConfig *config)
{
    return config->convs[config->n_convs - 1].channels;
}

int64_t wavlm_front_end_frames(const WavlmFrontEndConfig *config, int64_t n)
{
    if (config->input == ENCODER_FBANK)
        return n > 0 ? (n - 1) / 2 + 1 : 0;
    for (int i = 0; i < config->n_convs; i++) {
        const WavlmConv *conv = &config->convs[i];
        if (n < conv->kernel)
            return 0;
        n = (n - conv->kernel) / conv->stride + 1;
    }
    return n;
}

int64_t wavlm_front_end_min_input(const WavlmFrontEndConfig *config)
{
    int64_t n = 1;
    for (int64_t i = config->n_convs - 1; config->input == ENCODER_WAVEFORM && i >= 0; i--) {
        if (n > WAVLM_MOST_SAMPLES / config->convs[i].stride)
            return WAVLM_MOST_SAMPLES + 1; // before it is beyond 64 bits
        n = (n - 1) * config->convs[i].stride + config->convs[i].kernel;
    }
    return n;
}

int wavlm_front_end_check(const WavlmFrontEndConfig *config, Error *error)
{
    if (wavlm_front_end_min_input(config) <= WAVLM_MOST_SAMPLES)
        return 0;
    return error_set(error, "wavlm: conv_feature_layers make one frame of more than %d samples",
                     WAVLM_MOST_SAMPLES);
}

// --- declaration

// Weights as He et al. (2015) draw them.
static Affine declare_conv(Scope scope, int64_t channels, int64_t inputs, int64_t kernel, bool bias)
{
    Init init = {INIT_NORMAL, sqrtf(2.0f / (float)(inputs * kernel))};
    return affine_declare_drawn(scope, 3, (int64_t[]){channels, inputs, kernel}, bias, init);
}

static void declare_fbank(WavlmFrontEnd *front_end, Scope scope)
{
    int64_t channels = wavlm_front_end_channels(&front_end->config), inputs = WAVLM_N_MELS;
    for (int i = 0; i < FBANK_CONVS; i++) {
        front_end->conv[i] =
            declare_conv(scope_enter(&scope, "conv_layers.%d.0", i), channels, inputs, FBANK_KERNEL[i], true);
        inputs = channels;
    }
}

static void declare_waveform(WavlmFrontEnd *front_end, Scope scope)
{
    const WavlmFrontEndConfig *config = &front_end->config;
    int64_t inputs = 1;
    for (int i = 0; i < config->n_convs; i++) {
        const WavlmConv *conv = &config->convs[i];
        Scope layer = scope_enter(&scope, "conv_layers.%d", i);
        front_end->conv[i] =
            declare_conv(scope_enter(&layer, "0"), conv->channels, inputs, conv->kernel, config->conv_bias);
        // Microsoft wraps the layer norm in transposes: .2.1
        if (config->layer_norm || i == 0)
            front_end->norm[i] = layer_norm_declare(scope_enter(&layer, config->layer_norm ? "2.1" : "2"),
                                                    conv->channels, NORM_EPSILON);
        inputs = conv->channels;
    }
}

WavlmFrontEnd *wavlm_front_end_create(const WavlmFrontEndConfig *config, Scope scope)
{
    WavlmFrontEnd *front_end = mem_zero(1, sizeof *front_end);
    front_end->config = *config;
    if (config->input == ENCODER_FBANK)
        declare_fbank(front_end, scope_enter(&scope, "fbank_extractor"));
    else
        declare_waveform(front_end, scope_enter(&scope, "feature_extractor"));
    return front_end;
}

void wavlm_front_end_destroy(WavlmFrontEnd *front_end)
{
    mem_free(front_end);
}

// --- forward

static Tensor *fbank_forward(const WavlmFrontEnd *front_end, Tape *tape, Tensor *x)
{
    for (int i = 0; i < FBANK_CONVS; i++)
        x = op_gelu(tape, affine_conv1d(tape, x, &front_end->conv[i], FBANK_SHAPE[i]));
    return x;
}

static Tensor *waveform_block(const WavlmFrontEnd *front_end, Tape *tape, Tensor *x, int i)
{
    const LayerNorm *norm = &front_end->norm[i];
    x = affine_conv1d(tape, x, &front_end->conv[i], (Conv1d){.stride = front_end->config.convs[i].stride});
    if (front_end->config.layer_norm)
        x = layer_norm_apply(tape, x, norm);
    else if (norm->weight)
        x = op_instance_norm(tape, x, &norm->weight->tensor, &norm->bias->tensor, norm->epsilon);
    return op_gelu(tape, x);
}

Tensor *wavlm_front_end_forward(const WavlmFrontEnd *front_end, Tape *tape, Tensor *input)
{
    if (front_end->config.input == ENCODER_FBANK)
        return fbank_forward(front_end, tape, input);
    Tensor *x = op_reshape(tape, input, 3, (int64_t[]){input->dim[0], input->dim[1], 1});
    for (int i = 0; i < front_end->config.n_convs; i++) {
        TapeMark mark = tape_mark(tape);
        x = tape_release(tape, mark, waveform_block(front_end, tape, x, i));
    }
    return x;
}
