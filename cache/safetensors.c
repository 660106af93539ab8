#include "cache/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include "base/digest.h"
#include "base/half.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/strange_file.h"
#include "cache/safetensors_format.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are mapped as they lie in the file");

enum {
    MAX_DIMS = 8,
    MAX_HEADER_BYTES = 100 << 20,
    MAX_HEADER_VALUES = 1 << 20, // each takes some 100 bytes of memory, a thousand tensors take ten thousand
    DIGEST_PIECE = 16 << 20,
};

static float from_half(const void *data, int64_t index)
{
    return half_to_float(((const uint16_t *)data)[index]);
}

static float from_bfloat16(const void *data, int64_t index)
{
    return bfloat16_to_float(((const uint16_t *)data)[index]);
}

static float from_double(const void *data, int64_t index)
{
    return (float)((const double *)data)[index];
}

const SafeTypeRow safe_types[] = {
    {"F32", 4, SAFE_F32, NULL},        {"I64", 8, SAFE_I64, NULL},       {"I32", 4, SAFE_I32, NULL},
    {"I16", 2, SAFE_I16, NULL},        {"F16", 2, SAFE_F32, from_half},  {"BF16", 2, SAFE_F32, from_bfloat16},
    {"F64", 8, SAFE_F32, from_double}, {"U64", 8, SAFE_OTHER, NULL},     {"U32", 4, SAFE_OTHER, NULL},
    {"U16", 2, SAFE_OTHER, NULL},      {"U8", 1, SAFE_OTHER, NULL},      {"I8", 1, SAFE_OTHER, NULL},
    {"BOOL", 1, SAFE_OTHER, NULL},     {"F8_E4M3", 1, SAFE_OTHER, NULL}, {"F8_E5M2", 1, SAFE_OTHER, NULL},
    {"C64", 8, SAFE_OTHER, NULL}};
enum { N_TYPES = sizeof safe_types / sizeof safe_types[0] };

typedef struct Entry {
    SafeTensor tensor;
    int stored;          // row of safe_types
    uint64_t begin, end; // bytes from the start of the data
    void *copy;          // of data that lie unaligned in the file or were converted, else NULL
} Entry;

struct SafeReader {
    char *path;
    const char *map;
    size_t n_bytes; // of the file
    cJSON *header;  // owns every name and metadata value
    const cJSON *metadata;
    Entry *entries;        // [n], in the header's order
    const Entry **by_name; // [n]
    int64_t n;
};

static int refuse(const SafeReader *reader, Error *error, const char *reason)
{
    if (strange_file_refuse(reader->path, error) < 0)
        return -1;
    return error_set(error, "%s is not a whole safetensors file: %s", reader->path, reason);
}

static int refuse_tensor(const SafeReader *reader, const cJSON *item, Error *error, const char *reason)
{
    return error_set(error, "%s: tensor %s %s", reader->path, item->string, reason);
}

static int map_file(SafeReader *reader, Error *error)
{
    int descriptor = open(reader->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat info;
    if (descriptor < 0)
        return error_set_errno(error, "cannot open %s", reader->path);
    int status = 0;
    if (fstat(descriptor, &info) != 0)
        status = error_set_errno(error, "cannot read %s", reader->path);
    else if (!S_ISREG(info.st_mode))
        status = error_set(error, "%s is not a file", reader->path);
    else if (info.st_size < LENGTH_BYTES)
        status = refuse(reader, error, "it is shorter than its fixed part");
    if (status == 0) {
        void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (map == MAP_FAILED) {
            status = error_set_errno(error, "cannot map %s", reader->path);
        } else {
            reader->map = map;
            reader->n_bytes = (size_t)info.st_size;
        }
    }
    close(descriptor);
    return status;
}

// cJSON makes a block of each value, a hundred times what a comma takes in the file.
static bool has_too_many_values(const char *text, uint64_t n_bytes)
{
    int64_t n = 0;
    for (uint64_t i = 0; i < n_bytes; i++)
        n += text[i] == ',' || text[i] == '[' || text[i] == '{';
    return n > MAX_HEADER_VALUES;
}

static int parse_header(SafeReader *reader, uint64_t *n_header, Error *error)
{
    memcpy(n_header, reader->map, sizeof *n_header);
    if (*n_header > MAX_HEADER_BYTES || *n_header > reader->n_bytes - LENGTH_BYTES)
        return refuse(reader, error, "its header would be longer than the file or than 100 MiB");
    const char *text = reader->map + LENGTH_BYTES, *end = NULL;
    if (has_too_many_values(text, *n_header))
        return refuse(reader, error, "its header holds more than a million values");
    reader->header = cJSON_ParseWithLengthOpts(text, *n_header, &end, 0);
    if (!cJSON_IsObject(reader->header))
        return refuse(reader, error, "its header is not a JSON object");
    for (; end < text + *n_header; end++)
        if (*end != ' ')
            return refuse(reader, error, "something follows the JSON header");
    return 0;
}

// JSON numbers are doubles: exact for whole numbers up to 2^53.
static bool whole_number(const cJSON *item, uint64_t *value)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= 0x1p53))
        return false;
    *value = (uint64_t)item->valuedouble;
    return (double)*value == item->valuedouble;
}

static int parse_type(const SafeReader *reader, const cJSON *item, Entry *entry, Error *error)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "dtype"));
    for (int type = 0; name && type < N_TYPES; type++)
        if (strcmp(name, safe_types[type].name) == 0) {
            entry->stored = type;
            entry->tensor.type = safe_types[type].shown;
            entry->tensor.stored = safe_types[type].name;
            return 0;
        }
    return refuse_tensor(reader, item, error, "has a type that the format does not know");
}

static int parse_shape(const SafeReader *reader, const cJSON *item, SafeTensor *tensor, Error *error)
{
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(item, "shape"), *size;
    if (!cJSON_IsArray(shape))
        return refuse_tensor(reader, item, error, "has no shape");
    tensor->n_elements = 1;
    cJSON_ArrayForEach(size, shape)
    {
        uint64_t dim;
        if (tensor->n_dims == MAX_DIMS || !whole_number(size, &dim) ||
            __builtin_mul_overflow(tensor->n_elements, (int64_t)dim, &tensor->n_elements))
            return refuse_tensor(reader, item, error, "has an impossible shape");
        tensor->dim[tensor->n_dims++] = (int64_t)dim;
    }
    return 0;
}

static int parse_tensor(const SafeReader *reader, const cJSON *item, size_t n_data, Entry *entry,
                        Error *error)
{
    SafeTensor *tensor = &entry->tensor;
    tensor->name = item->string;
    if (!cJSON_IsObject(item))
        return refuse_tensor(reader, item, error, "is not described by a JSON object");
    if (parse_type(reader, item, entry, error) != 0 || parse_shape(reader, item, tensor, error) != 0)
        return -1;
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
    size_t n_bytes;
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !whole_number(cJSON_GetArrayItem(offsets, 0), &entry->begin) ||
        !whole_number(cJSON_GetArrayItem(offsets, 1), &entry->end) || entry->begin > entry->end ||
        entry->end > n_data)
        return refuse_tensor(reader, item, error, "does not lie inside the file; the file may be cut short");
    if (__builtin_mul_overflow((size_t)tensor->n_elements, safe_types[entry->stored].n_bytes, &n_bytes) ||
        n_bytes != entry->end - entry->begin)
        return refuse_tensor(reader, item, error, "has another size than its shape says");
    return 0;
}

static int parse_metadata(SafeReader *reader, const cJSON *item, Error *error)
{
    const cJSON *value;
    if (reader->metadata || !cJSON_IsObject(item))
        return refuse(reader, error, "its __metadata__ is not one JSON object");
    cJSON_ArrayForEach(value, item)
    {
        if (!cJSON_IsString(value))
            return refuse(reader, error, "its __metadata__ holds something other than strings");
    }
    reader->metadata = item;
    return 0;
}

static int parse_entries(SafeReader *reader, size_t n_header, Error *error)
{
    const cJSON *item;
    const char *data = reader->map + LENGTH_BYTES + n_header;
    size_t n_data = reader->n_bytes - LENGTH_BYTES - n_header;
    size_t n_most = (size_t)cJSON_GetArraySize(reader->header);
    if (!(reader->entries = mem_try_alloc(n_most, sizeof *reader->entries, reader->path, error)))
        return -1;
    memset(reader->entries, 0, n_most * sizeof *reader->entries);
    cJSON_ArrayForEach(item, reader->header)
    {
        if (strcmp(item->string, "__metadata__") == 0) {
            if (parse_metadata(reader, item, error) != 0)
                return -1;
            continue;
        }
        Entry *entry = &reader->entries[reader->n];
        if (parse_tensor(reader, item, n_data, entry, error) != 0)
            return -1;
        entry->tensor.data = entry->tensor.type == SAFE_OTHER ? NULL : data + entry->begin;
        reader->n++;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const Entry *const *)a)->tensor.name, (*(const Entry *const *)b)->tensor.name);
}

static int by_place(const void *a, const void *b)
{
    const Entry *x = *(const Entry *const *)a, *y = *(const Entry *const *)b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

// As the format demands: back to back, without overlap or hole, from the first byte to the last.
static int check_layout(const SafeReader *reader, const Entry **entries, size_t n_data, Error *error)
{
    uint64_t end = 0;
    qsort(entries, (size_t)reader->n, sizeof *entries, by_place);
    for (int64_t i = 0; i < reader->n; end = entries[i++]->end)
        if (entries[i]->begin != end)
            return error_set(error, "%s: tensor %s overlaps another or leaves a hole", reader->path,
                             entries[i]->tensor.name);
    return end == n_data ? 0 : refuse(reader, error, "the data do not end where the last tensor ends");
}

static int index_names(SafeReader *reader, size_t n_data, Error *error)
{
    reader->by_name = mem_alloc((size_t)reader->n, sizeof *reader->by_name);
    for (int64_t i = 0; i < reader->n; i++)
        reader->by_name[i] = &reader->entries[i];
    if (check_layout(reader, reader->by_name, n_data, error) != 0)
        return -1;
    qsort(reader->by_name, (size_t)reader->n, sizeof *reader->by_name, by_name);
    for (int64_t i = 1; i < reader->n; i++)
        if (by_name(&reader->by_name[i - 1], &reader->by_name[i]) == 0)
            return error_set(error, "%s: tensor %s occurs twice", reader->path,
                             reader->by_name[i]->tensor.name);
    return 0;
}

// "writer" and "digest" vouch for each other, so that no single damaged byte can switch the check off.
static int check_digest(const SafeReader *reader, size_t n_header, Error *error)
{
    const char *writer = safe_metadata(reader, "writer"), *found = safe_metadata(reader, "digest");
    bool ours = writer && strncmp(writer, "voxloop", 7) == 0;
    bool placed = n_header >= sizeof DIGEST_PREFIX + DIGEST_DIGITS &&
                  memcmp(reader->map + LENGTH_BYTES, DIGEST_PREFIX, sizeof DIGEST_PREFIX - 1) == 0;
    if (!ours && !placed)
        return 0;
    if (!ours || !placed || !found || strlen(found) != DIGEST_DIGITS)
        return refuse(reader, error, "its digest is damaged");
    char hex[DIGEST_DIGITS + 1], zeros[DIGEST_DIGITS];
    size_t behind = DIGEST_OFFSET + DIGEST_DIGITS;
    memset(zeros, '0', sizeof zeros);
    Digest *digest = digest_create();
    digest_add(digest, reader->map, DIGEST_OFFSET);
    digest_add(digest, zeros, sizeof zeros);
    for (size_t at = behind; at < reader->n_bytes && !interrupt_requested(); at += DIGEST_PIECE)
        digest_add(digest, reader->map + at,
                   reader->n_bytes - at < DIGEST_PIECE ? reader->n_bytes - at : DIGEST_PIECE);
    digest_finish(digest, hex);
    if (interrupt_requested())
        return interrupt_fail(error);
    return strcmp(hex, found) == 0
               ? 0
               : refuse(reader, error,
                        "its content does not match its digest; copy it again from its source");
}

// Into a block of its own, as float32.
static int convert(Entry *entry, const char *path, Error *error)
{
    SafeTensor *tensor = &entry->tensor;
    float *copy = mem_try_alloc((size_t)tensor->n_elements, sizeof *copy, path, error);
    if (!copy)
        return -1;
    for (int64_t i = 0; i < tensor->n_elements; i++)
        copy[i] = safe_types[entry->stored].convert(tensor->data, i);
    mem_free(entry->copy);
    entry->copy = copy;
    tensor->data = copy;
    return 0;
}

static int settle_data(SafeReader *reader, Error *error)
{
    for (int64_t i = 0; i < reader->n; i++) {
        Entry *entry = &reader->entries[i];
        size_t n_bytes = entry->end - entry->begin;
        if ((uintptr_t)entry->tensor.data % safe_types[entry->stored].n_bytes != 0) {
            if (!(entry->copy = mem_try_alloc(n_bytes, 1, reader->path, error)))
                return -1;
            entry->tensor.data = memcpy(entry->copy, entry->tensor.data, n_bytes);
        }
        if (safe_types[entry->stored].convert && convert(entry, reader->path, error) < 0)
            return -1;
    }
    return 0;
}

SafeReader *safe_open(const char *path, Error *error)
{
    SafeReader *reader = mem_zero(1, sizeof *reader);
    reader->path = mem_strdup(path);
    uint64_t n_header = 0;
    if (map_file(reader, error) != 0 || parse_header(reader, &n_header, error) != 0 ||
        parse_entries(reader, n_header, error) != 0 || check_digest(reader, n_header, error) != 0 ||
        index_names(reader, reader->n_bytes - LENGTH_BYTES - n_header, error) != 0 ||
        settle_data(reader, error) != 0) {
        safe_close(reader);
        return NULL;
    }
    return reader;
}

void safe_close(SafeReader *reader)
{
    if (!reader)
        return;
    for (int64_t i = 0; i < reader->n; i++)
        mem_free(reader->entries[i].copy);
    if (reader->map)
        munmap((void *)reader->map, reader->n_bytes);
    cJSON_Delete(reader->header);
    mem_free(reader->entries);
    mem_free(reader->by_name);
    mem_free(reader->path);
    mem_free(reader);
}

int64_t safe_count(const SafeReader *reader)
{
    return reader->n;
}

const SafeTensor *safe_at(const SafeReader *reader, int64_t index)
{
    return &reader->entries[index].tensor;
}

const SafeTensor *safe_find(const SafeReader *reader, const char *name)
{
    Entry key = {.tensor.name = name};
    const Entry *wanted = &key;
    const Entry **found =
        bsearch(&wanted, reader->by_name, (size_t)reader->n, sizeof *reader->by_name, by_name);
    return found ? &(*found)->tensor : NULL;
}

const char *safe_metadata(const SafeReader *reader, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reader->metadata, key));
}

const char *safe_metadata_at(const SafeReader *reader, int64_t index, const char **value)
{
    const cJSON *item = reader->metadata ? reader->metadata->child : NULL;
    for (; item && index > 0; index--)
        item = item->next;
    if (!item)
        return NULL;
    *value = item->valuestring;
    return item->string;
}
