// safetensors: 8-byte little-endian header length, JSON header, raw little-endian data. We write F32 and I64.
// Tensors of F16, BF16 and F64 are read as F32, those of other types are listed and have no data. Readers
// check that every tensor lies inside the file, does not overlap and has the size its shape says; a file
// written by us also carries "digest" (XXH64 of the whole file with the digest's own digits as zeros) and
// "writer" in __metadata__, which are verified. Headers are bounded by 100 MiB and a million values, names
// must be unique.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef enum SafeType { SAFE_F32, SAFE_I64, SAFE_I32, SAFE_I16, SAFE_OTHER } SafeType;

typedef struct SafeTensor {
    const char *name;
    SafeType type;
    int n_dims;
    int64_t dim[8];
    int64_t n_elements;
    const void *data;   // reader: aligned, valid until safe_close(); NULL for SAFE_OTHER
    const char *stored; // reader: the type in the file, "F32", "BF16" ...
} SafeTensor;

typedef struct SafeReader SafeReader;
SafeReader *safe_open(const char *path, Error *error);
void safe_close(SafeReader *reader);
int64_t safe_count(const SafeReader *reader);
const SafeTensor *safe_at(const SafeReader *reader, int64_t index);      // in the header's order
const SafeTensor *safe_find(const SafeReader *reader, const char *name); // NULL: not there
const char *safe_metadata(const SafeReader *reader, const char *key);    // NULL: not there
// The index-th key, with its value in *value, in the file's order; NULL behind the last.
const char *safe_metadata_at(const SafeReader *reader, int64_t index, const char **value);

typedef struct SafeMetadata {
    const char *key, *value;
} SafeMetadata;

// Publishes atomically. Tensors are written in the given order.
int safe_publish(const char *path, const SafeTensor *tensors, int64_t n_tensors, const SafeMetadata *metadata,
                 int64_t n_metadata, Error *error);
