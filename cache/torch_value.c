#include "cache/torch_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { BLOCK_VALUES = 256, DEPTH_MOST = 200 };

static Value *value_at(const ValueStore *store, int64_t index)
{
    return &store->blocks[index / BLOCK_VALUES][index % BLOCK_VALUES];
}

void copy_printable(char *out, size_t n, const char *text)
{
    for (; n > 1 && *text; n--, text++)
        *out++ = *text > ' ' && *text < 0x7f ? *text : '?';
    *out = '\0';
}

void values_release(ValueStore *store)
{
    for (int64_t i = 0; i < store->n; i++) {
        Value *value = value_at(store, i);
        mem_free(value->items);
        mem_free(value->keys);
        mem_free(value->owned);
        if (i % BLOCK_VALUES == BLOCK_VALUES - 1 || i == store->n - 1)
            mem_free(store->blocks[i / BLOCK_VALUES]);
    }
    mem_free(store->blocks);
    *store = (ValueStore){0};
}

Value *value_create(ValueStore *store, TorchKind kind, ValueRole role)
{
    int64_t block = store->n / BLOCK_VALUES;
    if (store->n % BLOCK_VALUES == 0) {
        store->blocks = mem_grow(store->blocks, (size_t)block + 1, sizeof *store->blocks);
        store->blocks[block] = mem_zero(BLOCK_VALUES, sizeof **store->blocks);
    }
    Value *value = value_at(store, store->n++);
    value->shown.kind = kind;
    value->role = role;
    value->internal = role == VALUE_GLOBAL || role == VALUE_STORAGE;
    value->depth = kind == TORCH_LIST || kind == TORCH_DICT;
    value->n_unfolded = 1;
    return value;
}

Value *value_text(ValueStore *store, const void *bytes, size_t n_bytes)
{
    if (memchr(bytes, 0, n_bytes))
        return NULL;
    Value *value = value_create(store, TORCH_TEXT, VALUE_PLAIN);
    char *text = mem_alloc(n_bytes + 1, 1);
    memcpy(text, bytes, n_bytes);
    text[n_bytes] = '\0';
    value->owned = text;
    value->shown.text = text;
    return value;
}

static void make_room(Value *value)
{
    if (value->shown.n < value->capacity)
        return;
    value->capacity = value->capacity ? 2 * value->capacity : 4;
    value->items = mem_grow(value->items, (size_t)value->capacity, sizeof *value->items);
    value->shown.items = value->items;
    if (value->role != VALUE_DICT)
        return;
    value->keys = mem_grow(value->keys, (size_t)value->capacity, sizeof *value->keys);
    value->shown.keys = value->keys;
}

static int adopt(Value *parent, Value *item, Error *error)
{
    item->sealed = true;
    if (parent->sealed)
        return error_set(error, "a container holds itself or is changed after it became part of another");
    if (item->internal && parent->role != VALUE_TUPLE)
        return error_set(error, "a class or a storage stands where a value should");
    if (item->depth + 1 > parent->depth)
        parent->depth = item->depth + 1;
    if (parent->depth > DEPTH_MOST)
        return error_set(error, "containers are nested deeper than %d levels", DEPTH_MOST);
    parent->n_unfolded += item->n_unfolded;
    if (parent->n_unfolded > VALUES_MOST)
        return error_set(error, "a container unfolds to more than %d values", VALUES_MOST);
    parent->internal |= item->internal;
    make_room(parent);
    parent->items[parent->shown.n] = &item->shown;
    return 0;
}

Value *value_tuple(ValueStore *store, Value *const *items, size_t n, Error *error)
{
    Value *tuple = value_create(store, TORCH_LIST, VALUE_TUPLE);
    for (size_t i = 0; i < n; i++) {
        if (adopt(tuple, items[i], error) != 0)
            return NULL;
        tuple->shown.n++;
    }
    return tuple;
}

int value_append(Value *list, Value *item, Error *error)
{
    if (adopt(list, item, error) != 0)
        return -1;
    list->shown.n++;
    return 0;
}

static const char *key_text(ValueStore *store, const Value *key)
{
    if (key->shown.kind == TORCH_TEXT)
        return key->shown.text;
    if (key->shown.kind != TORCH_INTEGER)
        return NULL;
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRId64, key->shown.integer);
    return value_text(store, digits, (size_t)length)->shown.text;
}

int value_insert(ValueStore *store, Value *dict, Value *key, Value *item, Error *error)
{
    const char *text = key_text(store, key);
    if (!text)
        return error_set(error, "a dictionary has a key that is neither text nor a whole number");
    if (adopt(dict, item, error) != 0)
        return -1;
    dict->keys[dict->shown.n++] = text;
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int refuse_key(const char *key, Error *error)
{
    char shown[128];
    copy_printable(shown, sizeof shown, key);
    return error_set(error, "the key %s occurs twice in one dictionary", shown);
}

static int check_keys(const TorchValue *dict, Error *error)
{
    int status = 0;
    size_t n = (size_t)dict->n;
    const char **keys = mem_alloc(n, sizeof *keys);
    memcpy(keys, dict->keys, n * sizeof *keys);
    qsort(keys, n, sizeof *keys, by_text);
    for (size_t i = 1; i < n && status == 0; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            status = refuse_key(keys[i], error);
    mem_free(keys);
    return status;
}

int values_check_keys(const ValueStore *store, Error *error)
{
    for (int64_t i = 0; i < store->n; i++) {
        const Value *value = value_at(store, i);
        if (value->role == VALUE_DICT && value->shown.n > 1 && check_keys(&value->shown, error) != 0)
            return -1;
    }
    return 0;
}
