// The values that a pickle builds, and the store that owns all of them: sharing costs nothing, and freeing is
// one walk over the store. A value that has become part of another one is sealed and takes no more parts,
// therefore nothing can contain itself. Nesting is bounded, and so is what a value unfolds to when shared
// parts are counted each time: whoever walks a value recursively comes to an end.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/torch_file.h"

enum { VALUES_MOST = 1 << 20 }; // in a store, and in a value unfolded

typedef enum ValueRole {
    VALUE_PLAIN,
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_DICT,
    VALUE_GLOBAL,
    VALUE_STORAGE,
} ValueRole;

typedef struct Value {
    TorchValue shown; // first: a pointer to it is a pointer to the value
    ValueRole role;
    bool sealed;
    bool internal; // a global or a storage, or a tuple with one in it: of no use but to build tensors
    int depth;     // levels of containers, its own included
    int64_t n_unfolded;
    int64_t capacity;
    const TorchValue **items; // [capacity]
    const char **keys;        // [capacity], of a dict; the texts belong to other values
    void *owned;              // text or data
    int global;               // VALUE_GLOBAL: which; VALUE_STORAGE: its element type
    int64_t member;           // VALUE_STORAGE
    const char *bytes;        // VALUE_STORAGE, as shown.n_elements
} Value;

typedef struct ValueStore {
    Value **blocks;
    int64_t n;
} ValueStore;

// For messages: texts come from strangers and go to terminals.
void copy_printable(char *out, size_t n, const char *text);

void values_release(ValueStore *store);
// Values belong to the store. The caller keeps store->n below VALUES_MOST.
Value *value_create(ValueStore *store, TorchKind kind, ValueRole role);
Value *value_text(ValueStore *store, const void *bytes, size_t n_bytes); // NULL: a zero byte in it
// NULL: a part cannot be one, or the limits are exceeded.
Value *value_tuple(ValueStore *store, Value *const *items, size_t n, Error *error);
int value_append(Value *list, Value *item, Error *error);
int value_insert(ValueStore *store, Value *dict, Value *key, Value *item, Error *error); // no check for twins
int values_check_keys(const ValueStore *store, Error *error); // -1: a key occurs twice in a dictionary
