// WavLM (Chen et al. 2021): a front end that turns audio into 20 ms frames, a positional convolution, and a
// transformer with gated relative position bias. What a speaker back end uses are its hidden states: the
// transformer's input and every block's output.
//
// Parameter names and arithmetic are Microsoft's (`encoder.layers.3.self_attn.grep_linear.weight` ...), in
// the caller's scope. Two styles exist and may be mixed: base (group norm behind the first convolution, norm
// after each residual) and large (layer norm behind every convolution, norm before).
//
// Frozen parts are the caller's business: parameters_freeze(parameters, "model.feature_extractor.").
#pragma once
#include "models/encoder.h"
#include "models/wavlm_front_end.h"

enum { WAVLM_MAX_LAYERS = 30 };

typedef struct WavlmConfig { // names as in Microsoft's configuration where it has them
    WavlmFrontEndConfig front_end;
    bool layer_norm_first; // large style
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

// Free with wavlm_destroy().
Wavlm *wavlm_create(const WavlmConfig *config, Scope scope);
void wavlm_destroy(Wavlm *wavlm);
const WavlmFrontEnd *wavlm_front_end(const Wavlm *wavlm);

// input [B, samples] (or [B, frames, 80]) -> hidden[0 .. layers], each [B, T, dim]: the transformer's input,
// then each block's output. mask [B * T] replaces frames by the mask embedding in front of the transformer;
// NULL: none. Waveforms are taken as they are: the normalisation of the large style is the caller's.
void wavlm_hidden(Wavlm *wavlm, Tape *tape, Tensor *input, const bool *mask, const ForwardMode *mode,
                  Tensor **hidden);

// The encoder's output for the last hidden state: itself, behind encoder.layer_norm in the large style.
Tensor *wavlm_output(Wavlm *wavlm, Tape *tape, Tensor *last_hidden);
