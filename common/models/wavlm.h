// WavLM (Chen et al. 2021): a front end that turns audio into 20 ms frames, a positional convolution, and a
// transformer with gated relative position bias. What a speaker back end uses are its hidden states: the
// transformer's input and every block's output.
//
// Parameter names and arithmetic are Microsoft's (`feature_extractor.conv_layers.0.0.weight`,
// `encoder.layers.3.self_attn.grep_linear.weight` ...), behind the caller's prefix. Two styles exist and may
// be mixed: base (group norm behind the first convolution, norm after each residual) and large (layer norm
// behind every convolution, norm before). Instead of the seven convolutions on the waveform a front end on
// log-mel frames can be chosen
// (`fbank_extractor.conv_layers.*`): far easier to learn from an hour of audio, but no pre-trained weights
// fit it.
//
// Frozen parts are the caller's business: parameters_freeze(parameters, "model.feature_extractor.").
#pragma once
#include "models/encoder.h"

enum { WAVLM_MAX_CONVS = 8, WAVLM_MAX_LAYERS = 30, WAVLM_N_MELS = 80, WAVLM_MOST_SAMPLES = 1 << 20 };

typedef struct WavlmConv { // one convolution of the front end on waveforms
    int64_t channels, kernel, stride;
} WavlmConv;

typedef struct WavlmConfig { // names as in Microsoft's configuration where it has them
    EncoderInput input;
    bool extractor_layer_norm; // extractor_mode "layer_norm", else "default"
    bool layer_norm_first;     // large style
    bool conv_bias;
    int64_t n_convs;
    WavlmConv convs[WAVLM_MAX_CONVS]; // the last one's channels are also the log-mel front end's
    int64_t layers, dim, ffn, heads;
    int64_t pos_kernel, pos_groups;  // positional convolution
    int64_t n_buckets, max_distance; // relative positions, in frames
    double dropout, attention_dropout, activation_dropout, input_dropout, layer_drop;
} WavlmConfig;

// The sizes of WavLM Base and Base+.
WavlmConfig wavlm_default_config(void);
// Sizes that cannot work together (heads that do not divide dim ...) are an error.
int wavlm_check_config(const WavlmConfig *config, Error *error);

typedef struct Wavlm Wavlm;

// Declares the parameters as prefix + name, in learning-rate group 0. Free with wavlm_destroy().
Wavlm *wavlm_create(const WavlmConfig *config, const char *prefix, Parameters *parameters);
void wavlm_destroy(Wavlm *wavlm);

// Frames that come out of n samples (or n fbank frames); 0 when the input is too short.
int64_t wavlm_frames(const WavlmConfig *config, int64_t n);
// The shortest input that gives a frame; of sizes that nobody has: more than WAVLM_MOST_SAMPLES.
int64_t wavlm_min_input(const WavlmConfig *config);

// input [B, samples] (or [B, frames, 80]) -> hidden[0 .. layers], each [B, T, dim]: the transformer's input,
// then each block's output. mask [B * T] replaces frames by the mask embedding in front of the transformer;
// NULL: none. Waveforms are taken as they are: the normalisation of the large style is the caller's.
void wavlm_hidden(Wavlm *wavlm, Tape *tape, Tensor *input, const bool *mask, const ForwardMode *mode,
                  Tensor **hidden);

// The encoder's output for the last hidden state: itself, behind encoder.layer_norm in the large style.
Tensor *wavlm_output(Wavlm *wavlm, Tape *tape, Tensor *last_hidden);

// Front end alone: [B, T, channels of the last convolution], before layer_norm and projection.
Tensor *wavlm_features(Wavlm *wavlm, Tape *tape, Tensor *input);
