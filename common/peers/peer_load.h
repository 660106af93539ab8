// A peer's weights in an encoder of ours.
#pragma once
#include <stdbool.h>

#include "models/encoder.h"
#include "nn/mismatch.h"
#include "peers/peer_file.h"

// MHFA's parameters; a WavLM as it was pre-trained has none.
#define PEER_POOLING_PREFIX "backend."

typedef struct PeerEncoder {
    Encoder *encoder;
    Parameters parameters; // without gradients
    cJSON *architecture;
    bool without_pooling; // the pooling's parameters are as they were drawn
    NameList left_out;    // tensors of classifiers and other heads, and those of `ignore`
} PeerEncoder;

// settings: `key=value,...` for what the checkpoint does not tell, ignore: `prefix,...` of tensors to leave
// out; both may be NULL. An error lists by name what is missing, surplus or of another shape. On failure
// nothing needs releasing. The encoder may take an input that our front end does not make: see
// encoder_check_input().
int peer_load(const PeerFile *file, const char *settings, const char *ignore, PeerEncoder *loaded,
              Error *error);
void peer_encoder_release(PeerEncoder *loaded);
