// A peer's checkpoint in memory, from any of the files that users have: a PyTorch zip (.pt, .bin, .ckpt ...),
// safetensors, or a folder of Hugging Face's with config.json beside the weights.
#pragma once
#include "peers/peer_form.h"

typedef struct PeerFile PeerFile;

// Opens, finds the tensors (at the top, or under "model" or "state_dict") and the configuration (config.json
// in the folder, "cfg" in the checkpoint, or <name>.json beside it), recognises the form. NULL with a
// sentence that names the file.
PeerFile *peer_open(const char *path, Error *error);
void peer_close(PeerFile *file);
const PeerWeights *peer_weights(const PeerFile *file);
const char *peer_path(const PeerFile *file); // of the weights themselves
// The files that peer_open() would look at: the weights, whose name is "", and configurations beside them.
// Returns how many, 0 where there are no weights. The caller frees both lists with strings_free().
int64_t peer_files(const char *path, char ***names, char ***paths);
