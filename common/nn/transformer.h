// Parts of a transformer block that WavLM and the conformer share.
#pragma once
#include "nn/layers.h"
#include "nn/pass.h"
#include "tensor/attention.h"

typedef struct FeedForward {
    Affine first, second; // [units, dim], [dim, units]
    Activation activation;
    double inner_dropout, dropout; // between the two, and behind them
} FeedForward;

// dropout(second(dropout(activation(first(x)))))
Tensor *feed_forward(Pass *pass, Tensor *x, const FeedForward *layer);

// Self-attention's options in this pass: its dropout takes a stream where it draws.
Attention pass_attention(Pass *pass, int64_t heads, double dropout);
