// The encoder `wavlm`: WavLM's hidden states pooled by MHFA. Parameters are named as in the reference
// recipe's checkpoints: model.* (WavLM, learning-rate group 0) and backend.* (MHFA, group 1).
//
// Architecture keys are those of Microsoft's and MHFA's configurations, defaults are WavLM Base+ with the
// paper's MHFA:
//     frontend ("conv" on the waveform | "fbank"), extractor_mode ("default" | "layer_norm"), normalize,
//     layer_norm_first, conv_bias, conv_feature_layers ([[channels, kernel, stride], ...]), conv_channels
//     (all convolutions at once), encoder_layers, encoder_embed_dim, encoder_ffn_embed_dim,
//     encoder_attention_heads, conv_pos, conv_pos_groups, num_buckets, max_distance, dropout,
//     attention_dropout, activation_dropout, dropout_input, encoder_layerdrop, head_nb, compression_dim,
//     outputs_dim
#pragma once
#include "models/encoder.h"
#include "models/mhfa.h"
#include "models/wavlm.h"

extern const EncoderKind wavlm_encoder_kind;

typedef struct WavlmArchitecture {
    WavlmConfig wavlm;
    MhfaConfig mhfa;
    bool normalize;        // waveforms to mean 0, variance 1 per utterance (large style)
    int64_t conv_channels; // 0: as conv_feature_layers says
} WavlmArchitecture;

// Reads and checks an architecture object. Unknown keys and values outside their range are errors.
int wavlm_architecture_parse(const cJSON *json, WavlmArchitecture *architecture, Error *error);
// The inverse: a new object with every key.
cJSON *wavlm_architecture_json(const WavlmArchitecture *architecture);

// For objectives that need more than the embedding: wavlm_hidden() (models/wavlm.h) of the encoder's input,
// normalised where the architecture says so.
Wavlm *wavlm_encoder_model(Encoder *encoder);
void wavlm_encoder_hidden(Encoder *encoder, Tape *tape, Tensor *input, const bool *mask,
                          const ForwardMode *mode, Tensor **hidden);
const WavlmArchitecture *wavlm_encoder_architecture(const Encoder *encoder);
