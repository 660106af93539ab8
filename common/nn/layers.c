#include "nn/layers.h"

#include <math.h>

static const float BN_MOMENTUM = 0.1f, BN_EPSILON = 1e-5f;
static const Init ZERO = {INIT_ZERO, 0}, ONE = {INIT_ONE, 0};

// --- linear layers and convolutions

static Affine declare(const Scope *scope, int n_dims, const int64_t *dims, bool bias, Init of_weight,
                      Init of_bias)
{
    Affine layer = {.weight = scope_parameter(scope, "weight", n_dims, dims, of_weight)};
    if (bias)
        layer.bias = scope_parameter(scope, "bias", 1, dims, of_bias);
    return layer;
}

Affine affine_declare(Scope scope, int n_dims, const int64_t *dims, bool bias)
{
    int64_t fan_in = 1;
    for (int d = 1; d < n_dims; d++)
        fan_in *= dims[d];
    Init init = {INIT_UNIFORM, 1.0f / sqrtf((float)fan_in)};
    return declare(&scope, n_dims, dims, bias, init, init);
}

Affine affine_declare_drawn(Scope scope, int n_dims, const int64_t *dims, bool bias, Init weight)
{
    return declare(&scope, n_dims, dims, bias, weight, ZERO);
}

static Tensor *bias_of(const Affine *layer)
{
    return layer->bias ? &layer->bias->tensor : NULL;
}

Tensor *affine_linear(Tape *tape, Tensor *x, const Affine *layer)
{
    return op_linear(tape, x, &layer->weight->tensor, bias_of(layer));
}

Tensor *affine_conv1d(Tape *tape, Tensor *x, const Affine *layer, Conv1d shape)
{
    return op_conv1d(tape, x, &layer->weight->tensor, bias_of(layer), shape);
}

Tensor *affine_conv2d(Tape *tape, Tensor *x, const Affine *layer, Conv2d shape)
{
    return op_conv2d(tape, x, &layer->weight->tensor, bias_of(layer), shape);
}

// --- norms

BatchNormLayer batch_norm_declare_bare(Scope scope, int64_t channels)
{
    return (BatchNormLayer){.running_mean = scope_buffer(&scope, "running_mean", channels, ZERO),
                            .running_variance = scope_buffer(&scope, "running_var", channels, ONE)};
}

BatchNormLayer batch_norm_declare(Scope scope, int64_t channels)
{
    Parameter *weight = scope_parameter(&scope, "weight", 1, &channels, ONE);
    Parameter *bias = scope_parameter(&scope, "bias", 1, &channels, ZERO);
    BatchNormLayer norm = batch_norm_declare_bare(scope, channels);
    norm.weight = weight;
    norm.bias = bias;
    return norm;
}

static Tensor *constant(Tape *tape, int64_t n, float value)
{
    Tensor *x = tape_tensor(tape, 1, &n);
    for (int64_t i = 0; i < n; i++)
        x->data[i] = value;
    return x;
}

Tensor *batch_norm_apply(Tape *tape, Tensor *x, const BatchNormLayer *norm, bool training, bool relu_first)
{
    int64_t channels = tensor_cols(x);
    BatchNorm batch = {norm->weight ? &norm->weight->tensor : constant(tape, channels, 1),
                       norm->bias ? &norm->bias->tensor : constant(tape, channels, 0),
                       norm->running_mean->tensor.data,
                       norm->running_variance->tensor.data,
                       BN_MOMENTUM,
                       BN_EPSILON};
    return op_batch_norm(tape, x, &batch, training, relu_first);
}

LayerNorm layer_norm_declare(Scope scope, int64_t dim, float epsilon)
{
    return (LayerNorm){scope_parameter(&scope, "weight", 1, &dim, ONE),
                       scope_parameter(&scope, "bias", 1, &dim, ZERO), epsilon};
}

Tensor *layer_norm_apply(Tape *tape, Tensor *x, const LayerNorm *norm)
{
    return op_layer_norm(tape, x, &norm->weight->tensor, &norm->bias->tensor, norm->epsilon);
}
