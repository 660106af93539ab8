// Multi-head factorised attentive pooling (Peng et al. 2023): from a transformer's hidden states to one
// embedding. Two learnt mixes of the layers become keys and values; each head weights the frames by its own
// function of the keys; the heads' mean values, side by side, are projected to the embedding. No norm
// anywhere.
//
// Parameter names are the reference's (`weights_k`, `cmp_linear_k.weight`, `att_head.weight`,
// `pooling_fc.weight`), in the caller's scope.
#pragma once
#include "nn/scope.h"
#include "tensor/tape.h"

typedef struct MhfaConfig { // names as in the reference
    int64_t head_nb, compression_dim, outputs_dim;
} MhfaConfig;

MhfaConfig mhfa_default_config(void); // 64 heads, 128, 256: the paper's

typedef struct Mhfa Mhfa;

// Declares the parameters. inputs_dim: channels of a hidden state.
Mhfa *mhfa_create(const MhfaConfig *config, int64_t n_layers, int64_t inputs_dim, Scope scope);
void mhfa_destroy(Mhfa *mhfa);

// hidden [n_layers], each [B, T, inputs_dim] -> [B, outputs_dim]
Tensor *mhfa_forward(Mhfa *mhfa, Tape *tape, Tensor *const *hidden);
