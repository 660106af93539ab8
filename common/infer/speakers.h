// A file of enrolled speakers: for each a name and the mean of the unit-length embeddings of recordings of
// that voice. A safetensors file, with the digest of the model that made the embeddings: those of another one
// cannot be compared with them.
#pragma once
#include <stdint.h>

#include "base/error.h"

typedef struct Speakers {
    char **names;    // [n], distinct
    float *means;    // [n, dim], of unit-length embeddings
    int64_t *counts; // [n] recordings
    int64_t n, dim;
    char model[17]; // embedder_digest()
} Speakers;

// A file of another model is an error. Where there is none, speakers_load() fails and speakers_open() gives
// none yet.
int speakers_load(const char *path, const char *model, int64_t dim, Speakers *speakers, Error *error);
int speakers_open(const char *path, const char *model, int64_t dim, Speakers *speakers, Error *error);
// Takes a recording of the speaker into account; embedding [dim] of length 1.
void speakers_add(Speakers *speakers, const char *name, const float *embedding);
int speakers_publish(const char *path, const Speakers *speakers, Error *error);
void speakers_release(Speakers *speakers);
