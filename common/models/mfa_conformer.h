// MFA-Conformer (Zhang et al. 2022): convolutional subsampling of the filter banks, Conformer blocks (Gulati
// et al. 2020) with relative position encodings, the outputs of all blocks side by side, attentive statistics
// pooling. Parameter names and details are those of the public code, whose attention has no relative shift: a
// query meets the encoding of the key's own position.
//
// Architecture keys (all optional): "num_blocks" 6, "output_size" 256, "attention_heads" 4, "linear_units"
// 2048, "cnn_module_kernel" 15, "input_layer" ("conv2d2" | "conv2d", subsampling by 2 or 4), "feat_dim" 80,
// "embedding_dim" 192, "attention_channels" 128, "dropout" 0.1.
#pragma once
#include "models/encoder.h"

extern const EncoderKind mfa_conformer_kind;
