// An encoder's architecture from options: its name and `key=value,key=value`. Values are numbers, true, false
// or words; keys are those of the encoder's own header.
#pragma once
#include <cjson/cJSON.h>

#include "base/error.h"

#define ARCHITECTURE_NAMES "ecapa|wavlm|wavlm-base|wavlm-base-plus|wavlm-large"

// One of the names; wavlm-* have the published sizes. settings NULL: ecapa and wavlm get a size that learns
// from an hour of audio on two cores. Returns a new object (the caller deletes it) or NULL. Whether the
// encoder knows the keys is for encoder_create() to say.
cJSON *architecture_parse(const char *name, const char *settings, Error *error);
// Puts further `key=value,...` into an architecture; NULL: none.
int architecture_override(cJSON *architecture, const char *settings, Error *error);
