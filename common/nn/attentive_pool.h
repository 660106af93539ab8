// Attentive statistics pooling (Okabe et al. 2018) as wespeaker has it, with parameters "linear1" and
// "linear2", and as speechbrain has it (always with global context, and a batch norm behind ReLU inside),
// with "tdnn.conv.conv", "tdnn.norm.norm" and "conv.conv". Each channel of each frame gets a weight over
// time; mean and standard deviation are taken under it. With global context each frame is joined by the
// utterance's mean and standard deviation.
#pragma once
#include "nn/layers.h"

typedef struct AttentivePool {
    Affine hidden, scores; // [bottleneck, C or 3 C, 1], [C, bottleneck, 1]
    bool global_context;
    BatchNormLayer norm; // weight NULL: none
    bool unbiased;       // the context's deviation
    float variance_floor;
} AttentivePool;

AttentivePool attentive_pool_declare(Scope scope, int64_t channels, int64_t bottleneck, bool global_context);
AttentivePool attentive_pool_declare_speechbrain(Scope scope, int64_t channels, int64_t bottleneck);
// x [B, T, C] -> [B, 2 C]: weighted mean, weighted standard deviation.
Tensor *attentive_pool(Tape *tape, Tensor *x, const AttentivePool *pool, bool training);
