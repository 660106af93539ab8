// The operators of a WavLM-style encoder that ops.h does not have: self-attention with a gated relative
// position bias, the weighting of hidden layers, and pooling by several attention heads.
//
// Letters: B batch, T time (i: query frame, j: key frame), H heads, D channels per head, C = H * D channels,
// L layers. Descriptors, gradients and shape checks as for every operator (tape.h): shapes are asserted.
#pragma once
#include "base/rng.h"
#include "tensor/tape.h"

// --- self-attention (attention.c)
typedef struct Attention {
    int64_t heads;
    float dropout; // of the attention weights; 0: none
    Rng rng;       // a stream of its own when dropout > 0
} Attention;

// Scaled dot-product self-attention, all heads at once:
//     s[b,h,i,j] = q[b,i,h,:] . k[b,j,h,:] / sqrt(D) + gate[b,h,i] * bias[h, T-1+j-i]
//     out[b,i,h,:] = sum_j softmax_j(s)[b,h,i,j] v[b,j,h,:]
// q, k [B, T, H*D], v [B, T, H*V] -> [B, T, H*V], V being any width; bias [H, 2T-1], by distance from key to
// query, or NULL; gate [B, H, T], or NULL for 1 everywhere. The B*H*T*T weights are never stored: the forward
// pass keeps one number per row of s, the backward pass computes them again from it, a block of queries at a
// time (Dao et al., "FlashAttention", 2022, section 3). Memory beyond inputs and gradients: B*H*T floats, and
// 2 * 128 * T floats of scratch per thread.
Tensor *op_attention(Tape *tape, Tensor *q, Tensor *k, Tensor *v, Tensor *bias, Tensor *gate,
                     const Attention *attention);

// --- gated relative position bias (position_bias.c); WavLM: Chen et al. 2021, section III-B
// The bucket of key - query distance `relative`: the upper half of the n_buckets for keys after the query;
// within a half the first n_buckets/4 distances have a bucket each, the rest share logarithmically up to
// max_distance.
int64_t relative_position_bucket(int64_t relative, int64_t n_buckets, int64_t max_distance);

// table [n_buckets, H] -> [H, 2T-1], element (h, T-1+d) = table[bucket(d), h] for d = key - query: the [H, T,
// T] bias of the papers has only 2T-1 different numbers per head.
Tensor *op_position_bias(Tape *tape, Tensor *table, int64_t n_frames, int64_t max_distance);

// How strongly each query of each head listens to the position bias, from the layer's input x [B, T, C]:
//     (a, b) = sigmoid(sum of outputs 0-3, sum of outputs 4-7 of x[b,t,h,:] weight^T + bias)
//     gate[b,h,t] = a (b scale[h] - 1) + 2
// weight [8, D], bias [8], scale [1, H, 1, 1] -> [B, H, T].
Tensor *op_position_gate(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias, Tensor *scale);

// --- layers and pooling (layer_mix.c)
// sum_l softmax(weights)[l] * xs[l]; weights [L], xs of one shape. L < NODE_MAX_INPUTS.
Tensor *op_layer_mix(Tape *tape, Tensor *const *xs, int n_layers, Tensor *weights);

// x [B, T, C] pooled by each of H weightings [B, T, H]: out[b,h,:] = sum_t weights[b,t,h] x[b,t,:] -> [B,
// H*C].
Tensor *op_multi_head_pool(Tape *tape, Tensor *x, Tensor *weights);

// --- frames (frames.c)
// The first n_frames of x [B, T, C] -> [B, n_frames, C].
Tensor *op_crop_time(Tape *tape, Tensor *x, int64_t n_frames);

// x [B, T, C] with the frames where mask [B * T] is set replaced by embedding [C]; mask is copied.
Tensor *op_mask_frames(Tape *tape, Tensor *x, const bool *mask, Tensor *embedding);

// x [B, T]: each row minus its mean, over its standard deviation: (x - mean) / sqrt(variance + epsilon).
// For waveforms, hence no gradient passes through.
Tensor *op_standardize_rows(Tape *tape, Tensor *x, float epsilon);
