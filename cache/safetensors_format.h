// What the reader and the writer of safetensors agree on; nobody else's business.
#pragma once
#include "cache/safetensors.h"

enum { LENGTH_BYTES = 8, DIGEST_DIGITS = 16 };

// How a header of ours begins; the digest covers the whole file with these 16 digits written as zeros.
#define DIGEST_PREFIX "{\"__metadata__\":{\"digest\":\""
#define DIGEST_OFFSET (LENGTH_BYTES + sizeof DIGEST_PREFIX - 1)

typedef struct SafeTypeRow {
    const char *name;
    size_t n_bytes;
    SafeType shown;
    float (*convert)(const void *data, int64_t index); // NULL: shown as it is
} SafeTypeRow;
// Types of the format; those that we write come first, in the order of SafeType.
extern const SafeTypeRow safe_types[];
