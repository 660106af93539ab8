// ResNet speaker encoders in wespeaker's form (after He et al. 2016 and Zeinali et al. 2019): the filter
// banks as a picture, a 3x3 convolution, four stages of residual blocks with 1, 2, 4, 8 times m_channels and
// strides 1, 2, 2, 2, statistics pooling over time of every channel at every frequency, a linear layer.
// Parameter names are those of wespeaker's state dict.
//
// Architecture keys (all optional): "blocks1" 3 .. "blocks4" 3 (of each stage: 3, 4, 6, 3 are ResNet34),
// "block" ("basic" | "bottleneck"), "m_channels" 32, "feat_dim" 80, "embed_dim" 256, "pooling" ("TSTP" |
// "ASTP"), "astp_bottleneck_dim" 128, "global_context_att" false, "two_emb_layer" false (a second linear
// layer behind ReLU and batch norm).
#pragma once
#include "models/encoder.h"

extern const EncoderKind resnet_kind;
