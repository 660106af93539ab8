// What wavlm.c and wavlm_features.c share; nobody else's business.
#pragma once
#include "models/wavlm.h"
#include "nn/layers.h"

enum { WAVLM_FBANK_CONVS = 2 };

typedef struct WavlmFrontEnd {
    Affine conv[WAVLM_MAX_CONVS];
    Affine norm[WAVLM_MAX_CONVS]; // weight NULL: none behind this convolution
} WavlmFrontEnd;

typedef struct WavlmBlock {
    Affine q, k, v, out, fc1, fc2;
    Affine attention_norm, final_norm;
    Affine gate;           // grep_linear
    Parameter *gate_scale; // grep_a
} WavlmBlock;

struct Wavlm {
    WavlmConfig config;
    WavlmFrontEnd front_end;
    Affine feature_norm; // layer_norm
    Affine projection;   // post_extract_proj; weight NULL when channels already equal dim
    Parameter *mask_embedding;
    Parameter *pos_weight_g, *pos_weight_v, *pos_bias;
    Affine encoder_norm;
    Parameter *position_table; // relative_attention_bias of block 0, shared by all
    WavlmBlock *blocks;        // [layers]
};

enum { WAVLM_NAME_SIZE = 256 };

// Declares name.weight and, unless bias is false, name.bias (zero). The name is prefix + name.
Affine wavlm_add_affine(Parameters *parameters, const char *prefix, const char *name, int n_dims,
                        const int64_t *dims, Init init, bool bias);
Affine wavlm_add_norm(Parameters *parameters, const char *prefix, const char *name, int64_t dim);
Tensor *wavlm_layer_norm(Tape *tape, Tensor *x, const Affine *norm);

void wavlm_declare_front_end(Wavlm *wavlm, const char *prefix, Parameters *parameters);
