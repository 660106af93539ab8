// WavLM's front ends: seven strided convolutions on the waveform, or two on log-mel frames.
#include <math.h>
#include <stdio.h>
#include "models/wavlm_parts.h"
#include "tensor/ops.h"

static const float NORM_EPSILON = 1e-5f;

// Log-mel frames come every 10 ms: the second convolution halves the rate to the 20 ms of the waveform front
// end.
static const Conv1d fbank_conv[WAVLM_FBANK_CONVS] = {{.stride = 1, .padding = 2},
                                                     {.stride = 2, .padding = 1}};
static const int64_t fbank_kernel[WAVLM_FBANK_CONVS] = {5, 3};

static Init he_normal(int64_t fan_in)
{
    return (Init){INIT_NORMAL, sqrtf(2.0f / (float)fan_in)};
}

static void declare_fbank(Wavlm *wavlm, const char *prefix, Parameters *parameters)
{
    int64_t channels = wavlm->config.convs[wavlm->config.n_convs - 1].channels, inputs = WAVLM_N_MELS;
    for (int i = 0; i < WAVLM_FBANK_CONVS; i++) {
        char name[WAVLM_NAME_SIZE];
        snprintf(name, sizeof name, "fbank_extractor.conv_layers.%d.0", i);
        wavlm->front_end.conv[i] =
            wavlm_add_affine(parameters, prefix, name, 3, (int64_t[]){channels, inputs, fbank_kernel[i]},
                             he_normal(inputs * fbank_kernel[i]), true);
        inputs = channels;
    }
}

static void declare_waveform(Wavlm *wavlm, const char *prefix, Parameters *parameters)
{
    const WavlmConfig *config = &wavlm->config;
    int64_t inputs = 1;
    for (int i = 0; i < config->n_convs; i++) {
        const WavlmConv *conv = &config->convs[i];
        char name[WAVLM_NAME_SIZE];
        snprintf(name, sizeof name, "feature_extractor.conv_layers.%d.0", i);
        wavlm->front_end.conv[i] =
            wavlm_add_affine(parameters, prefix, name, 3, (int64_t[]){conv->channels, inputs, conv->kernel},
                             he_normal(inputs * conv->kernel), config->conv_bias);
        if (config->extractor_layer_norm ||
            i == 0) { // the reference wraps its layer norm in transposes: .2.1
            snprintf(name, sizeof name, "feature_extractor.conv_layers.%d.2%s", i,
                     config->extractor_layer_norm ? ".1" : "");
            wavlm->front_end.norm[i] = wavlm_add_norm(parameters, prefix, name, conv->channels);
        }
        inputs = conv->channels;
    }
}

void wavlm_declare_front_end(Wavlm *wavlm, const char *prefix, Parameters *parameters)
{
    if (wavlm->config.input == ENCODER_FBANK)
        declare_fbank(wavlm, prefix, parameters);
    else
        declare_waveform(wavlm, prefix, parameters);
}

int64_t wavlm_frames(const WavlmConfig *config, int64_t n)
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

int64_t wavlm_min_input(const WavlmConfig *config)
{
    int64_t n = 1;
    for (int64_t i = config->n_convs - 1; config->input == ENCODER_WAVEFORM && i >= 0; i--) {
        if (n > WAVLM_MOST_SAMPLES / config->convs[i].stride)
            return WAVLM_MOST_SAMPLES + 1; // before it is beyond 64 bits
        n = (n - 1) * config->convs[i].stride + config->convs[i].kernel;
    }
    return n;
}

static Tensor *bias_of(const Affine *affine)
{
    return affine->bias ? &affine->bias->tensor : NULL;
}

static Tensor *fbank_features(Wavlm *wavlm, Tape *tape, Tensor *x)
{
    for (int i = 0; i < WAVLM_FBANK_CONVS; i++) {
        const Affine *conv = &wavlm->front_end.conv[i];
        x = op_gelu(tape, op_conv1d(tape, x, &conv->weight->tensor, bias_of(conv), fbank_conv[i]));
    }
    return x;
}

static Tensor *waveform_block(Wavlm *wavlm, Tape *tape, Tensor *x, int i)
{
    const Affine *conv = &wavlm->front_end.conv[i], *norm = &wavlm->front_end.norm[i];
    Conv1d shape = {.stride = wavlm->config.convs[i].stride};
    x = op_conv1d(tape, x, &conv->weight->tensor, bias_of(conv), shape);
    if (wavlm->config.extractor_layer_norm)
        x = wavlm_layer_norm(tape, x, norm);
    else if (norm->weight)
        x = op_instance_norm(tape, x, &norm->weight->tensor, &norm->bias->tensor, NORM_EPSILON);
    return op_gelu(tape, x);
}

Tensor *wavlm_features(Wavlm *wavlm, Tape *tape, Tensor *input)
{
    if (wavlm->config.input == ENCODER_FBANK)
        return fbank_features(wavlm, tape, input);
    Tensor *x = op_reshape(tape, input, 3, (int64_t[]){input->dim[0], input->dim[1], 1});
    for (int i = 0; i < wavlm->config.n_convs; i++) {
        TapeMark mark = tape_mark(tape);
        x = tape_release(tape, mark, waveform_block(wavlm, tape, x, i));
    }
    return x;
}
