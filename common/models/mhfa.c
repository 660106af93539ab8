#include "models/mhfa.h"
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

Mhfa *mhfa_create(const MhfaConfig *config, int64_t n_layers, int64_t inputs_dim, Scope scope)
{
    Mhfa *mhfa = mem_zero(1, sizeof *mhfa);
    int64_t compressed = config->compression_dim, heads = config->head_nb;
    mhfa->n_layers = (int)n_layers;
    mhfa->weights_k = scope_parameter(&scope, "weights_k", 1, &n_layers, (Init){INIT_ONE, 0});
    mhfa->weights_v = scope_parameter(&scope, "weights_v", 1, &n_layers, (Init){INIT_ONE, 0});
    mhfa->compress_k =
        affine_declare(scope_enter(&scope, "cmp_linear_k"), 2, (int64_t[]){compressed, inputs_dim}, true);
    mhfa->compress_v =
        affine_declare(scope_enter(&scope, "cmp_linear_v"), 2, (int64_t[]){compressed, inputs_dim}, true);
    mhfa->heads = affine_declare(scope_enter(&scope, "att_head"), 2, (int64_t[]){heads, compressed}, true);
    mhfa->output = affine_declare(scope_enter(&scope, "pooling_fc"), 2,
                                  (int64_t[]){config->outputs_dim, heads * compressed}, true);
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
