// Attentive statistics pooling (Okabe et al. 2018) in wespeaker's form, with parameters "<name>.linear1" and
// "<name>.linear2". Each channel of each frame gets a weight over time; mean and standard deviation are taken
// under it. With global context each frame is joined by the utterance's mean and standard deviation.
#pragma once
#include "nn/layers.h"

typedef struct AttentivePool {
    Affine hidden, scores; // [bottleneck, C or 3 C, 1], [C, bottleneck, 1]
    bool global_context;
} AttentivePool;

AttentivePool attentive_pool_declare(Parameters *parameters, const char *name, int64_t channels,
                                     int64_t bottleneck, bool global_context);
// x [B, T, C] -> [B, 2 C]: weighted mean, weighted standard deviation.
Tensor *attentive_pool(Tape *tape, Tensor *x, const AttentivePool *pool);
