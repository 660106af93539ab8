// The architecture of a peer's checkpoint, and the configuration that a peer expects beside ours.
#pragma once
#include "peers/peer_form.h"

// Sizes as names and shapes show them, then as the checkpoint's own configuration says; what neither tells
// (strides, the largest distance, whether norms come first) is as in WavLM Base and Large. A new object as
// encoder_create() takes it; NULL when the weights are of a network that we do not have, in one sentence.
cJSON *peer_architecture(const PeerWeights *weights, Error *error);

// The configuration for export in *config: Microsoft's `cfg` (with MHFA's sizes, which its own reader does
// not mind) or Hugging Face's config.json; NULL for the others, which have none. The caller deletes it. An
// error when the peer has no such network.
int peer_config(PeerForm form, const cJSON *architecture, cJSON **config, Error *error);
