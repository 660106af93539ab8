// A tensor: float32, contiguous, row-major, at most 4 dimensions. Time series are [batch, time, channels].
//
// Tensors are made by a Tape (activations; they live until the tape's next step) or embedded in a Parameter
// (weights; they live as long as the model). data and grad never move while a tensor is in use.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { TENSOR_MAX_DIMS = 4 };

typedef struct Tensor {
    float *data;                  // [dim[0], dim[1], dim[2], dim[3]]
    float *grad;                  // same shape; NULL until a backward pass needs it
    int64_t dim[TENSOR_MAX_DIMS]; // unused dimensions are 1
    int n_dims;
    bool needs_grad; // a gradient is to be accumulated here (or must pass through here)
} Tensor;

static inline int64_t tensor_size(const Tensor *x)
{
    return x->dim[0] * x->dim[1] * x->dim[2] * x->dim[3];
}

// Elements in front of the last dimension: the rows of the matrix that linear layers and norms see.
static inline int64_t tensor_cols(const Tensor *x)
{
    return x->dim[x->n_dims - 1];
}
static inline int64_t tensor_rows(const Tensor *x)
{
    return tensor_cols(x) ? tensor_size(x) / tensor_cols(x) : 0;
}
