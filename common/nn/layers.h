// Layers that several models are made of: their parameters, declared under a name, and the operators applied
// to them.
#pragma once
#include "nn/parameters.h"
#include "tensor/ops.h"

typedef struct Affine {       // a linear layer, a convolution or the scale and shift of a norm
    Parameter *weight, *bias; // bias may be NULL
} Affine;

// "<name>.weight" [dims] and, where bias is wanted, "<name>.bias" [dims[0]], drawn as PyTorch does for linear
// layers and convolutions: uniformly within 1 / sqrt(fan in), fan in being the product of the dims but the
// first.
Affine affine_declare(Parameters *parameters, const char *name, int n_dims, const int64_t *dims, bool bias);
Tensor *affine_linear(Tape *tape, Tensor *x, const Affine *layer); // a kernel of 1 is a linear layer, too

typedef struct NormLayer {
    Parameter *weight, *bias, *running_mean, *running_variance;
} NormLayer;

// Batch norm "<name>.weight", ".bias", ".running_mean", ".running_var" [channels], PyTorch's momentum and
// epsilon.
NormLayer norm_declare(Parameters *parameters, const char *name, int64_t channels);
Tensor *norm_apply(Tape *tape, Tensor *x, const NormLayer *norm, bool training, bool relu_first);
