// The projection head of DINO (Caron et al. 2021; the speaker form is sslsv's): it turns an embedding into
// logits over prototypes. Student and teacher each have one; it is dropped after pre-training.
//
//     projector:   linear, batch norm, GELU, linear, batch norm, GELU, linear     [B, input_dim ->
//     bottleneck] then always: length normalisation; weight-normalised linear layer without bias, gain fixed
//     at 1
//
// So a logit is the cosine between a bottleneck vector and a prototype. Names are the reference's: mlp.0 ...
// mlp.6, last_layer.weight_g (not trainable), last_layer.weight_v. The recipe keeps the last layer still in
// the first epoch: parameters_find(..., "<prefix>last_layer.weight_v")'s learning rate or gradient is the
// training loop's business.
#pragma once
#include "nn/scope.h"
#include "tensor/tape.h"

typedef struct DinoHeadConfig {
    int64_t input_dim;      // the encoder's embedding
    int64_t hidden_dim;     // 2048 in the recipe
    int64_t bottleneck_dim; // 256
    int64_t n_prototypes;   // 65 536; fewer for small corpora
    bool without_projector; // the embedding itself is the bottleneck
} DinoHeadConfig;

typedef struct DinoHead DinoHead;

// Declares the parameters; the caller allocates afterwards.
DinoHead *dino_head_create(const DinoHeadConfig *config, Scope scope);
void dino_head_destroy(DinoHead *head);

// x [B, input_dim] -> [B, n_prototypes]. training: batch statistics.
Tensor *dino_head_forward(DinoHead *head, Tape *tape, Tensor *x, bool training);
