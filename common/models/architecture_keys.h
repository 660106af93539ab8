// An encoder's architecture object read into its configuration by one table of keys.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <cjson/cJSON.h>
#include "base/error.h"

typedef enum KeyType {
    KEY_COUNT,       // int64_t, 1..most
    KEY_NUMBER,      // int64_t, 0..most
    KEY_PROBABILITY, // double, 0 to less than 1
    KEY_BOOL,        // bool
    KEY_CHOICE,      // bool, by the words for false and true
    KEY_OTHER,       // the encoder reads it itself
} KeyType;

typedef struct ArchitectureKey {
    const char *name;
    KeyType type;
    size_t offset; // into the configuration
    int64_t most;
    const char *choice[2];
} ArchitectureKey;

// Fills in what the object names; an unknown key or a value out of range is an error. `encoder` begins the
// sentences.
int architecture_read(const char *encoder, const cJSON *architecture, const ArchitectureKey *keys, int n_keys,
                      void *config, Error *error);
// Whether it is a whole number from `least` to `most`.
bool architecture_is_whole(const cJSON *item, int64_t least, int64_t most);
// A key's value in the configuration, as JSON; NULL for KEY_OTHER.
cJSON *architecture_value(const ArchitectureKey *key, const void *config);
