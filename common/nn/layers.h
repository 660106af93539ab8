// Layers that several models are made of: their parameters, declared in a scope (nn/scope.h), and the
// operators applied to them.
#pragma once
#include "nn/scope.h"
#include "tensor/ops.h"

// --- a linear layer or a convolution
typedef struct Affine {
    Parameter *weight, *bias; // bias may be NULL
} Affine;

// "weight" [dims] and, where bias is wanted, "bias" [dims[0]], drawn as PyTorch does for linear layers and
// convolutions: uniformly within 1 / sqrt(fan in), fan in being the product of the dims but the first.
Affine affine_declare(Scope scope, int n_dims, const int64_t *dims, bool bias);
// The same with weights drawn otherwise; the bias is 0 at first.
Affine affine_declare_drawn(Scope scope, int n_dims, const int64_t *dims, bool bias, Init weight);
Tensor *affine_linear(Tape *tape, Tensor *x, const Affine *layer); // a kernel of 1 is a linear layer, too
Tensor *affine_conv1d(Tape *tape, Tensor *x, const Affine *layer, Conv1d shape);
Tensor *affine_conv2d(Tape *tape, Tensor *x, const Affine *layer, Conv2d shape);

// --- norms
typedef struct BatchNormLayer {
    Parameter *weight, *bias; // NULL: 1 and 0, always
    Parameter *running_mean, *running_variance;
} BatchNormLayer;

// "weight", "bias", "running_mean", "running_var" [channels], PyTorch's momentum and epsilon.
BatchNormLayer batch_norm_declare(Scope scope, int64_t channels);
// Without weight and bias (PyTorch's affine=False).
BatchNormLayer batch_norm_declare_bare(Scope scope, int64_t channels);
Tensor *batch_norm_apply(Tape *tape, Tensor *x, const BatchNormLayer *norm, bool training, bool relu_first);

typedef struct LayerNorm {
    Parameter *weight, *bias;
    float epsilon;
} LayerNorm;

LayerNorm layer_norm_declare(Scope scope, int64_t dim, float epsilon); // "weight", "bias" [dim]
Tensor *layer_norm_apply(Tape *tape, Tensor *x, const LayerNorm *norm);
