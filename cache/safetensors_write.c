#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>
#include "base/digest.h"
#include "base/memory.h"
#include "cache/publish.h"
#include "cache/safetensors_format.h"

static size_t tensor_bytes(const SafeTensor *tensor)
{
    return (size_t)tensor->n_elements * safe_types[tensor->type].n_bytes;
}

static cJSON *describe_tensor(const SafeTensor *tensor, uint64_t *offset)
{
    cJSON *item = cJSON_CreateObject(), *shape = cJSON_AddArrayToObject(item, "shape");
    cJSON_AddStringToObject(item, "dtype", safe_types[tensor->type].name);
    for (int i = 0; i < tensor->n_dims; i++)
        cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)tensor->dim[i]));
    cJSON *offsets = cJSON_AddArrayToObject(item, "data_offsets");
    cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)*offset));
    *offset += tensor_bytes(tensor);
    cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)*offset));
    return item;
}

static char *header_text(const SafeTensor *tensors, int64_t n_tensors, const SafeMetadata *metadata,
                         int64_t n_metadata)
{
    cJSON *header = cJSON_CreateObject(), *texts = cJSON_AddObjectToObject(header, "__metadata__");
    cJSON_AddStringToObject(texts, "digest", "0000000000000000");
    cJSON_AddStringToObject(texts, "writer", "voxloop " VOXLOOP_VERSION);
    for (int64_t i = 0; i < n_metadata; i++)
        if (strcmp(metadata[i].key, "digest") != 0 && strcmp(metadata[i].key, "writer") != 0)
            cJSON_AddStringToObject(texts, metadata[i].key, metadata[i].value);
    uint64_t offset = 0;
    for (int64_t i = 0; i < n_tensors; i++)
        cJSON_AddItemToObject(header, tensors[i].name, describe_tensor(&tensors[i], &offset));
    char *text = cJSON_PrintUnformatted(header);
    cJSON_Delete(header);
    return text;
}

// Everything before the data: length, header with its digest, padding to a multiple of 8.
static char *encode_head(const SafeTensor *tensors, int64_t n_tensors, const SafeMetadata *metadata,
                         int64_t n_metadata, size_t *n_head)
{
    char *text = header_text(tensors, n_tensors, metadata, n_metadata), hex[DIGEST_DIGITS + 1];
    uint64_t length = strlen(text), padded = (length + 7) / 8 * 8;
    *n_head = LENGTH_BYTES + padded;
    char *head = mem_alloc(*n_head, 1);
    memcpy(head, &padded, sizeof padded);
    memset(head + LENGTH_BYTES, ' ', padded);
    memcpy(head + LENGTH_BYTES, text, length);
    cJSON_free(text);
    Digest *digest = digest_create();
    digest_add(digest, head, *n_head);
    for (int64_t i = 0; i < n_tensors; i++)
        digest_add(digest, tensors[i].data, tensor_bytes(&tensors[i]));
    digest_finish(digest, hex);
    memcpy(head + DIGEST_OFFSET, hex, DIGEST_DIGITS);
    return head;
}

int safe_publish(const char *path, const SafeTensor *tensors, int64_t n_tensors, const SafeMetadata *metadata,
                 int64_t n_metadata, Error *error)
{
    PublishFile *file = publish_open(path, error);
    if (!file)
        return -1;
    size_t n_head;
    char *head = encode_head(tensors, n_tensors, metadata, n_metadata, &n_head);
    fwrite(head, 1, n_head, publish_stream(file)); // commit sees a failure
    mem_free(head);
    for (int64_t i = 0; i < n_tensors; i++)
        fwrite(tensors[i].data, safe_types[tensors[i].type].n_bytes, (size_t)tensors[i].n_elements,
               publish_stream(file));
    return publish_commit(file, error);
}
