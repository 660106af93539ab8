// An encoder's architecture from options: its name and `key=value,key=value`. Values are numbers, true, false
// or words; keys are those of the encoder's own header.
#pragma once
#include <cjson/cJSON.h>

#include "base/error.h"

// "ecapa|wavlm|wavlm-base|...": those that the encoders' table names (models/encoder.h). Call it from one
// thread.
const char *architecture_names(void);

// One of the names. settings NULL or "small": its small sizes, where it has some. Returns a new object (the
// caller deletes it) or NULL. Whether the encoder knows the keys is for encoder_create() to say.
cJSON *architecture_parse(const char *name, const char *settings, Error *error);
// Puts further `key=value,...` into an architecture; NULL: none.
int architecture_override(cJSON *architecture, const char *settings, Error *error);
