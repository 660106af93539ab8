// The operators. Letters: B batch, T time, C channels, I inputs, O outputs, K kernel, H heads.
// Weights keep PyTorch's layouts. Every operator has a finite-difference test.
#pragma once
#include "base/rng.h"
#include "tensor/tape.h"

// --- element-wise (elementwise.c); shapes equal
Tensor *op_add(Tape *tape, Tensor *a, Tensor *b);
Tensor *op_mul(Tape *tape, Tensor *a, Tensor *b);
Tensor *op_scale(Tape *tape, Tensor *x, float factor);
Tensor *op_dropout(Tape *tape, Tensor *x, float probability, Rng rng); // kept values times 1/(1-p)

// --- functions of one value (activation.c)
typedef enum Activation {
    ACTIVATION_RELU,
    ACTIVATION_GELU,  // x Phi(x), Phi the normal distribution's: exact, by erf
    ACTIVATION_SWISH, // x sigmoid(x)
    ACTIVATION_TANH,
    ACTIVATION_SIGMOID
} Activation;
Tensor *op_activate(Tape *tape, Tensor *x, Activation activation);
static inline Tensor *op_relu(Tape *tape, Tensor *x)
{
    return op_activate(tape, x, ACTIVATION_RELU);
}
static inline Tensor *op_gelu(Tape *tape, Tensor *x)
{
    return op_activate(tape, x, ACTIVATION_GELU);
}
static inline Tensor *op_swish(Tape *tape, Tensor *x)
{
    return op_activate(tape, x, ACTIVATION_SWISH);
}
static inline Tensor *op_tanh(Tape *tape, Tensor *x)
{
    return op_activate(tape, x, ACTIVATION_TANH);
}
static inline Tensor *op_sigmoid(Tape *tape, Tensor *x)
{
    return op_activate(tape, x, ACTIVATION_SIGMOID);
}

// --- shape (shape.c)
Tensor *op_reshape(Tape *tape, Tensor *x, int n_dims, const int64_t *dims);      // shares data
Tensor *op_slice_last(Tape *tape, Tensor *x, int64_t start, int64_t count);      // channels
Tensor *op_concat_last(Tape *tape, Tensor *const *xs, int n);                    // channels
Tensor *op_swap_last(Tape *tape, Tensor *x);                                     // [..., A, B] -> [..., B, A]
Tensor *op_slice_first(Tape *tape, Tensor *x, int64_t start, int64_t count);     // batch; shares data
Tensor *op_gather_first(Tape *tape, Tensor *x, const int64_t *index, int64_t n); // rows x[index[i]], copied
Tensor *op_concat_first(Tape *tape, Tensor *const *xs, int n);                   // batch

// --- linear and convolution (linear.c, conv1d.c)
// ----------------------------------------------------------------- y = x W^T + b: x [..., I], weight [O, I],
// bias [O] or NULL.
Tensor *op_linear(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias);

typedef struct Conv1d {
    int64_t stride, padding, dilation, groups; // zeros stand for 1, 0, 1, 1
} Conv1d;
// x [B, T, I], weight [O, I/groups, K], bias [O] or NULL -> [B, (T + 2 padding - dilation (K-1) - 1)/stride +
// 1, O]
Tensor *op_conv1d(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias, Conv1d shape);

// One filter per channel: x [B, T, C], weight [C, 1, K] with K odd, bias [C] -> [B, T, C]; zeros beyond the
// ends.
Tensor *op_depthwise_conv1d(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias);

typedef struct Conv2d {
    int64_t stride, padding; // in time and frequency alike; a stride of 0 stands for 1
    bool time_first;         // the weight is [O, I, KT, KF]
} Conv2d;
// x [B, T, F, I], weight [O, I, KF, KT] (PyTorch's, height being frequency), bias [O] or NULL -> [B, T', F',
// O], each with (size + 2 padding - kernel) / stride + 1
Tensor *op_conv2d(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias, Conv2d shape);

// weight_norm: w = g * v / ||v||, the norm over all dimensions but `dim`; g has size 1 in the others.
Tensor *op_weight_norm(Tape *tape, Tensor *v, Tensor *g, int dim);

// --- norms (norm.c)
// ---------------------------------------------------------------------------------------------- Batch norm
// over all rows of the last dimension. Training: batch statistics, and the running ones are updated in place
// (unbiased variance, PyTorch's momentum). relu_first applies ReLU to x before (ECAPA's order), fused.
typedef struct BatchNorm {
    Tensor *weight, *bias;                  // [C]
    float *running_mean, *running_variance; // [C]
    float momentum, epsilon;                // PyTorch's defaults: 0.1, 1e-5
} BatchNorm;
Tensor *op_batch_norm(Tape *tape, Tensor *x, const BatchNorm *norm, bool training, bool relu_first);
Tensor *op_layer_norm(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias, float epsilon); // last dimension
// Group norm with one group per channel over time: x [B, T, C].
Tensor *op_instance_norm(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias, float epsilon);
Tensor *op_l2_normalize(Tape *tape, Tensor *x, float epsilon); // last dimension: x / max(||x||, epsilon)

// --- pooling over time (pool.c)
Tensor *op_mean_time(Tape *tape, Tensor *x); // [B, T, C] -> [B, C]
// [B, T, C] -> [B, 2C]: mean, then sqrt(variance + epsilon), variance with divisor T-1 when unbiased, else T.
Tensor *op_mean_std_time(Tape *tape, Tensor *x, bool unbiased, float epsilon);
Tensor *op_scale_channels(Tape *tape, Tensor *x, Tensor *scale); // x [B, T, C] * scale [B, C]
Tensor *op_add_channels(Tape *tape, Tensor *x, Tensor *shift);   // x [B, T, C] + shift [B, C]
Tensor *op_softmax_time(Tape *tape, Tensor *x);                  // softmax over T for each [B, C]
// weights [B, T, C] (summing to 1 over T) -> [B, 2C]: weighted mean, sqrt(max(weighted variance, floor)).
Tensor *op_weighted_mean_std(Tape *tape, Tensor *x, Tensor *weights, float variance_floor);
