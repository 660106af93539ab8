// A model in use: samples or a recording in, its embedding out. Any encoder of ours, and any checkpoint of
// other toolkits that voxloop-import reads.
//
//     Embedder *embedder = embedder_open("work/mine/iter3/model.safetensors", error);
//     float *embedding = mem_alloc((size_t)embedder_dim(embedder), sizeof(float));
//     status = embedder_run_file(embedder, "a.mp3", embedding, error);
//     embedder_close(embedder);
//
// An embedding has the bytes that voxloop-extract gives the same recording. Opened once, an Embedder may be
// used by many threads; each run works on a tape of its own, which is kept for the next.
#pragma once
#include <stdint.h>

#include "base/error.h"
#include "infer/operating_point.h"

// Of a longer recording the middle is used, as voxloop-extract does.
enum { EMBEDDER_LONGEST_SECONDS = 60 };

typedef struct Embedder Embedder;

// path: a checkpoint, ours or a peer's, or a folder of Hugging Face's. NULL with a sentence on failure.
Embedder *embedder_open(const char *path, Error *error);
void embedder_close(Embedder *embedder); // NULL is fine
int64_t embedder_dim(const Embedder *embedder);
// XXH64 of the weights, 16 hexadecimal digits: embeddings of two models cannot be compared.
const char *embedder_digest(const Embedder *embedder);
// What its cosines mean; NULL: the model does not say (`voxloop calibrate` teaches it).
const OperatingPoint *embedder_operating_point(const Embedder *embedder);

// samples [n] at 16 kHz in [-1, 1), n > 0 -> embedding [dim], not normalised. Too few samples are repeated.
// Fails where the embedding is not finite or memory is short.
int embedder_run(Embedder *embedder, const float *samples, int64_t n, float *embedding, Error *error);
// Decodes any recording that voxloop-prepare reads, with its limits; errors name the file.
int embedder_run_file(Embedder *embedder, const char *path, float *embedding, Error *error);
// embeddings [n, dim] of n recordings, several at a time. The first one that fails ends it.
int embedder_run_files(Embedder *embedder, char *const *paths, int64_t n, float *embeddings, Error *error);
