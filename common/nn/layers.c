#include "nn/layers.h"

#include <math.h>

static const float BN_MOMENTUM = 0.1f, BN_EPSILON = 1e-5f;

Affine affine_declare(Parameters *parameters, const char *name, int n_dims, const int64_t *dims, bool bias)
{
    int64_t fan_in = 1;
    for (int d = 1; d < n_dims; d++)
        fan_in *= dims[d];
    Init init = {INIT_UNIFORM, 1.0f / sqrtf((float)fan_in)};
    Affine layer = {.weight = parameters_add(parameters, n_dims, dims, init, "%s.weight", name)};
    if (bias)
        layer.bias = parameters_add(parameters, 1, dims, init, "%s.bias", name);
    return layer;
}

Tensor *affine_linear(Tape *tape, Tensor *x, const Affine *layer)
{
    return op_linear(tape, x, &layer->weight->tensor, layer->bias ? &layer->bias->tensor : NULL);
}

NormLayer norm_declare(Parameters *parameters, const char *name, int64_t channels)
{
    return (NormLayer){
        parameters_add(parameters, 1, &channels, (Init){INIT_ONE, 0}, "%s.weight", name),
        parameters_add(parameters, 1, &channels, (Init){INIT_ZERO, 0}, "%s.bias", name),
        parameters_add_buffer(parameters, channels, (Init){INIT_ZERO, 0}, "%s.running_mean", name),
        parameters_add_buffer(parameters, channels, (Init){INIT_ONE, 0}, "%s.running_var", name)};
}

Tensor *norm_apply(Tape *tape, Tensor *x, const NormLayer *norm, bool training, bool relu_first)
{
    BatchNorm batch = {&norm->weight->tensor,
                       &norm->bias->tensor,
                       norm->running_mean->tensor.data,
                       norm->running_variance->tensor.data,
                       BN_MOMENTUM,
                       BN_EPSILON};
    return op_batch_norm(tape, x, &batch, training, relu_first);
}
