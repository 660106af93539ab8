// A peer's weights in an encoder of ours.
#pragma once
#include <stdbool.h>

#include "models/encoder.h"
#include "peers/peer_file.h"

// MHFA's parameters; a WavLM as it was pre-trained has none.
#define PEER_POOLING_PREFIX "backend."

typedef struct PeerEncoder {
    Encoder *encoder;
    Parameters parameters; // without gradients
    cJSON *architecture;
    bool without_pooling; // the pooling's parameters are as they were drawn
    int64_t n_left_out;   // tensors of classifiers and the like, and those of `ignore`
} PeerEncoder;

// settings: `key=value,...` for what the checkpoint does not tell, ignore: `prefix,...` of tensors to leave
// out; both may be NULL. An error lists by name what is missing, surplus or of another shape. On failure
// nothing needs releasing.
int peer_load(const PeerFile *file, const char *settings, const char *ignore, PeerEncoder *loaded,
              Error *error);
void peer_encoder_release(PeerEncoder *loaded);
