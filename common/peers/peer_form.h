// The forms in which other toolkits keep the encoders that we have too: how a set of tensors is recognised,
// and their names for our parameters.
//
//   microsoft      WavLM as Microsoft publishes it
//   hugging-face   the same network under the names of transformers' WavLMModel
//   wavlm-ssl-sv   WavLM with MHFA as the reference recipe saves it (module.__S__.model.*, .backend.*)
//   wespeaker      ECAPA-TDNN and ResNet as wespeaker saves them
//   mfa-conformer  MFA-Conformer as its authors' code saves it (encoder.*), with relative positions
#pragma once
#include <stdbool.h>
#include <cjson/cJSON.h>

#include "base/error.h"
#include "cache/safetensors.h"

typedef enum PeerForm {
    PEER_MICROSOFT,
    PEER_HUGGING_FACE,
    PEER_WAVLM_SSL_SV,
    PEER_WESPEAKER,
    PEER_MFA_CONFORMER,
    PEER_FORMS
} PeerForm;

#define PEER_FORM_NAMES "microsoft|hugging-face|wavlm-ssl-sv|wespeaker|mfa-conformer"
extern const char *const peer_form_names[PEER_FORMS];

// What a checkpoint holds. Nothing here is owned.
typedef struct PeerWeights {
    const SafeTensor *tensors; // float32
    int64_t n_tensors;
    const cJSON *config; // the checkpoint's own configuration, NULL: none
    PeerForm form;
    const char *prefix; // in front of all names of the encoder: "", "module.", "wavlm." ...
    int64_t prefix_length;
} PeerWeights;

// Whether the form is of WavLM, which may come without pooling.
bool peer_is_wavlm(PeerForm form);

// Sets form and prefix from the tensors' names; an error names the forms that are known.
int peer_recognise(PeerWeights *weights, Error *error);

// The peer's name, without prefix, for one of our parameters; a new string. Some forms have two spellings:
// variant 0 is what export writes, variant 1 what older files have (NULL: there is none).
char *peer_name(PeerForm form, const char *own, int variant);

// The tensor for one of our parameters under any spelling; NULL: not there.
const SafeTensor *peer_find(const PeerWeights *weights, const char *own);

// What export puts in front of every name.
const char *peer_prefix(PeerForm form);

// Whether a tensor, by its name, is known to be no part of an encoder: classifiers and the like.
bool peer_is_ignored(PeerForm form, const char *name);
// PyTorch's count of batches beside a batch norm, which decides nothing.
bool peer_is_count(const char *name);
