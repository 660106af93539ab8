#include "models/mhfa.h"
#include <math.h>
#include "base/memory.h"
#include "tensor/attention.h"
#include "nn/layers.h"

struct Mhfa {
    int n_layers;
    Parameter *weights_k, *weights_v; // [n_layers], before the softmax
    Affine compress_k, compress_v, heads, output;
};

MhfaConfig mhfa_default_config(void)
{
    return (MhfaConfig){.head_nb = 64, .compression_dim = 128, .outputs_dim = 256};
}

static Parameter *add(Parameters *parameters, int group, int n_dims, const int64_t *dims, Init init,
                      const char *prefix, const char *name)
{
    Parameter *parameter = parameters_add(parameters, n_dims, dims, init, "%s%s", prefix, name);
    parameter->group = group;
    return parameter;
}

static Affine add_linear(Parameters *parameters, int group, int64_t outputs, int64_t inputs,
                         const char *prefix, const char *weight, const char *bias)
{
    Init init = {INIT_UNIFORM, 1.0f / sqrtf((float)inputs)}; // PyTorch's default, as the reference
    return (Affine){add(parameters, group, 2, (int64_t[]){outputs, inputs}, init, prefix, weight),
                    add(parameters, group, 1, &outputs, init, prefix, bias)};
}

Mhfa *mhfa_create(const MhfaConfig *config, int64_t n_layers, int64_t inputs_dim, int group,
                  const char *prefix, Parameters *parameters)
{
    Mhfa *mhfa = mem_zero(1, sizeof *mhfa);
    int64_t compressed = config->compression_dim, heads = config->head_nb;
    mhfa->n_layers = (int)n_layers;
    mhfa->weights_k = add(parameters, group, 1, &n_layers, (Init){INIT_ONE, 0}, prefix, "weights_k");
    mhfa->weights_v = add(parameters, group, 1, &n_layers, (Init){INIT_ONE, 0}, prefix, "weights_v");
    mhfa->compress_k = add_linear(parameters, group, compressed, inputs_dim, prefix, "cmp_linear_k.weight",
                                  "cmp_linear_k.bias");
    mhfa->compress_v = add_linear(parameters, group, compressed, inputs_dim, prefix, "cmp_linear_v.weight",
                                  "cmp_linear_v.bias");
    mhfa->heads =
        add_linear(parameters, group, heads, compressed, prefix, "att_head.weight", "att_head.bias");
    mhfa->output = add_linear(parameters, group, config->outputs_dim, heads * compressed, prefix,
                              "pooling_fc.weight", "pooling_fc.bias");
    return mhfa;
}

void mhfa_destroy(Mhfa *mhfa)
{
    mem_free(mhfa);
}

Tensor *mhfa_forward(Mhfa *mhfa, Tape *tape, Tensor *const *hidden)
{
    Tensor *keys = op_layer_mix(tape, hidden, mhfa->n_layers, &mhfa->weights_k->tensor);
    Tensor *values = op_layer_mix(tape, hidden, mhfa->n_layers, &mhfa->weights_v->tensor);
    keys = affine_linear(tape, keys, &mhfa->compress_k);
    values = affine_linear(tape, values, &mhfa->compress_v);
    Tensor *weights = op_softmax_time(tape, affine_linear(tape, keys, &mhfa->heads)); // [B, T, heads]
    return affine_linear(tape, op_multi_head_pool(tape, values, weights), &mhfa->output);
}
