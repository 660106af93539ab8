// What training leaves on disk: a model, a safetensors file. Weights and buffers by name; __metadata__ holds
// "architecture" (the JSON object that encoder_create() takes), "step", "seed" and "recipe" (a digest of
// everything that decides the weights). Tensors named "classifier.*" are the training objective's and no part
// of the encoder.
#pragma once
#include <cjson/cJSON.h>

#include "base/error.h"
#include "cache/safetensors.h"
#include "models/encoder.h"
#include "nn/parameters.h"
#include "objectives/objective.h"

typedef struct ModelInfo {
    const cJSON *architecture;
    int64_t step, seed;
    const char *recipe;
} ModelInfo;

// Every parameter whose name does not start with skip_prefix (NULL: all).
int model_publish(const char *path, const Parameters *parameters, const char *skip_prefix,
                  const ModelInfo *info, Error *error);

// A model ready for use: parameters without gradients.
typedef struct LoadedEncoder {
    Encoder *encoder;
    Parameters parameters;
    cJSON *architecture;
} LoadedEncoder;

// Every tensor of the architecture must be there with its shape, and nothing else but a classifier; otherwise
// the error lists what is missing, surplus or misshapen by name. On failure nothing needs releasing.
int encoder_load(const char *path, LoadedEncoder *loaded, Error *error);
void loaded_encoder_release(LoadedEncoder *loaded);

// The architecture in a model's metadata, a new object; NULL with a sentence when there is none.
cJSON *model_architecture(const char *path, Error *error);

typedef struct WarmStart {
    int64_t n_loaded, n_missing, n_surplus; // tensors
    char missing[256], surplus[256];        // the first names
} WarmStart;

// For training that starts from other weights: tensors found by name are copied, but for those whose name
// starts with skip_prefix (NULL: none). One of another shape, or a file that lacks more than it holds, is an
// error; other missing ones keep what they were drawn as and are counted.
int model_warm_start(const char *path, Parameters *parameters, const char *skip_prefix, WarmStart *result,
                     Error *error);
// Only the check, for parameters without memory: before any is asked for that the file cannot fill.
int model_check_start(const char *path, const Parameters *parameters, const char *skip_prefix, Error *error);
