// ECAPA-TDNN (Desplanques et al. 2020) in wespeaker's form: convolution, ReLU, batch norm; three SE-Res2
// blocks with dilations 2, 3, 4; attentive statistics pooling; parameter names are those of wespeaker's state
// dict.
//
// Architecture keys (all optional): "channels" 512, "feat_dim" 80, "embed_dim" 192, "pre_pool_channels" 3 x
// channels, "astp_bottleneck_dim" 128, "se_bottleneck_dim" 128, "res2net_scale" 8, "global_context_att" true,
// "emb_bn" false. (The peers fix pre_pool_channels at 1536, which is ours at 512 channels; small models need
// it to shrink along.)
#pragma once
#include "models/encoder.h"

extern const EncoderKind ecapa_kind;

typedef struct EcapaConfig {
    int64_t channels, feat_dim, embed_dim, pre_pool_channels, astp_bottleneck_dim, se_bottleneck_dim,
        res2net_scale;
    bool global_context_att, emb_bn;
} EcapaConfig;

// Reads the keys above; unknown ones and widths that do not divide are errors.
int ecapa_parse(const cJSON *architecture, EcapaConfig *config, Error *error);
