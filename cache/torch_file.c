#include "cache/torch_file.h"

#include <string.h>

#include "base/memory.h"
#include "cache/pickle.h"

struct TorchFile {
    ValueStore values;
    TensorBuilder *builder; // owns the storages
    const TorchValue *root;
};

static int read_root(TorchFile *file, TorchZip *zip, Error *error)
{
    char *pickle;
    size_t n_bytes;
    if (torch_zip_read(zip, torch_zip_find(zip, "data.pkl"), &pickle, &n_bytes, error) != 0)
        return -1;
    file->builder = tensor_builder_create(zip, &file->values);
    file->root = pickle_read(pickle, n_bytes, file->builder, &file->values, error);
    tensor_builder_settle(file->builder);
    mem_free(pickle);
    return file->root ? 0 : -1;
}

TorchFile *torch_open(const char *path, Error *error)
{
    TorchZip *zip = torch_zip_open(path, error);
    if (!zip)
        return NULL;
    TorchFile *file = mem_zero(1, sizeof *file);
    if (read_root(file, zip, error) != 0) {
        error_prefix(error, "%s", path);
        torch_close(file);
        file = NULL;
    }
    torch_zip_close(zip);
    return file;
}

void torch_close(TorchFile *file)
{
    if (!file)
        return;
    values_release(&file->values);
    tensor_builder_destroy(file->builder);
    mem_free(file);
}

const TorchValue *torch_root(const TorchFile *file)
{
    return file->root;
}

const TorchValue *torch_get(const TorchValue *dict, const char *key)
{
    for (int64_t i = 0; dict && dict->kind == TORCH_DICT && i < dict->n; i++)
        if (strcmp(dict->keys[i], key) == 0)
            return dict->items[i];
    return NULL;
}
