#include "peers/peer_file.h"

#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/torch_file.h"

struct PeerFile {
    char *path;
    TorchFile *torch;
    SafeReader *safe;
    SafeTensor *tensors;
    int64_t n_tensors;
    cJSON *config;
    PeerWeights weights;
};

// --- tensors

static void add_tensor(PeerFile *file, const SafeTensor *tensor)
{
    file->tensors[file->n_tensors++] = *tensor;
}

static int take_safetensors(PeerFile *file, Error *error)
{
    if (!(file->safe = safe_open(file->path, error)))
        return -1;
    file->tensors = mem_alloc((size_t)safe_count(file->safe) + 1, sizeof(SafeTensor));
    for (int64_t i = 0; i < safe_count(file->safe); i++)
        if (safe_at(file->safe, i)->type == SAFE_F32)
            add_tensor(file, safe_at(file->safe, i));
    return 0;
}

static cJSON *scalar_json(const TorchValue *value)
{
    switch (value->kind) {
    case TORCH_BOOL:
        return cJSON_CreateBool(value->integer != 0);
    case TORCH_INTEGER:
        return cJSON_CreateNumber((double)value->integer);
    case TORCH_REAL:
        return cJSON_CreateNumber(value->real);
    case TORCH_TEXT:
        return cJSON_CreateString(value->text);
    default:
        return NULL; // lists and the like decide nothing that we read
    }
}

static void take_cfg(PeerFile *file, const TorchValue *cfg)
{
    file->config = cJSON_CreateObject();
    for (int64_t i = 0; i < cfg->n; i++) {
        cJSON *item = scalar_json(cfg->items[i]);
        if (item)
            cJSON_AddItemToObject(file->config, cfg->keys[i], item);
    }
}

static int take_torch(PeerFile *file, Error *error)
{
    if (!(file->torch = torch_open(file->path, error)))
        return -1;
    const TorchValue *root = torch_root(file->torch), *group, *cfg = torch_get(root, "cfg");
    if (root->kind != TORCH_DICT)
        return error_set(error, "%s holds no dictionary of tensors; save a state_dict", file->path);
    if (!(group = torch_get(root, "model")) && !(group = torch_get(root, "state_dict")))
        group = root;
    if (cfg && cfg->kind == TORCH_DICT)
        take_cfg(file, cfg);
    if (group->kind != TORCH_DICT)
        return error_set(error, "%s: its model is no dictionary of tensors; save a state_dict", file->path);
    file->tensors = mem_alloc((size_t)group->n + 1, sizeof(SafeTensor));
    for (int64_t i = 0; i < group->n; i++) {
        const TorchValue *value = group->items[i];
        if (value->kind != TORCH_TENSOR)
            continue;
        SafeTensor tensor = {.name = group->keys[i],
                             .type = SAFE_F32,
                             .n_dims = value->n_dims,
                             .n_elements = value->n_elements,
                             .data = value->data};
        memcpy(tensor.dim, value->dim, sizeof tensor.dim);
        add_tensor(file, &tensor);
    }
    return 0;
}

// --- files

static int take_config(PeerFile *file, const char *path, Error *error)
{
    char *text;
    size_t n_bytes;
    if (file_read(path, &text, &n_bytes, error) < 0)
        return -1;
    cJSON_Delete(file->config);
    file->config = cJSON_Parse(text);
    mem_free(text);
    return cJSON_IsObject(file->config) ? 0 : error_set(error, "%s is not a JSON object", path);
}

static bool is_safetensors(const char *path)
{
    const char *ending = strrchr(path, '.');
    return ending && strcmp(ending, ".safetensors") == 0;
}

static char *in_folder(const char *folder, Error *error)
{
    static const char *const NAMES[] = {"model.safetensors", "pytorch_model.bin"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        char *path = mem_printf("%s/%s", folder, NAMES[i]);
        if (file_exists(path))
            return path;
        mem_free(path);
    }
    error_set(error, "%s holds neither model.safetensors nor pytorch_model.bin", folder);
    return NULL;
}

// Where a configuration may lie: <name>.json for <name>.pt, and config.json in the folder of a Hugging Face
// model.
enum { BESIDE_NAME, BESIDE_CONFIG, BESIDE };

static void name_beside(const char *weights, char *beside[BESIDE])
{
    char *folder = path_folder(weights), *stem = mem_strdup(weights);
    char *ending = strrchr(path_name(stem), '.');
    if (ending)
        *ending = '\0';
    beside[BESIDE_NAME] = mem_printf("%s.json", stem);
    beside[BESIDE_CONFIG] = path_join(folder, "config.json");
    mem_free(folder);
    mem_free(stem);
}

static int find_config(PeerFile *file, Error *error)
{
    char *beside[BESIDE];
    name_beside(file->path, beside);
    const char *path = beside[file->weights.form == PEER_HUGGING_FACE ? BESIDE_CONFIG : BESIDE_NAME];
    int status = file_exists(path) ? take_config(file, path, error) : 0;
    mem_free(beside[BESIDE_NAME]);
    mem_free(beside[BESIDE_CONFIG]);
    return status;
}

int64_t peer_files(const char *path, char ***names, char ***paths)
{
    static const char *const NAMES[BESIDE] = {"sizes", "config.json"};
    char *weights = folder_exists(path) ? in_folder(path, NULL) : mem_strdup(path), *beside[BESIDE];
    int64_t n = 0;
    *names = *paths = NULL;
    if (!weights)
        return 0;
    name_beside(weights, beside);
    *names = mem_zero(BESIDE + 1, sizeof(char *));
    *paths = mem_zero(BESIDE + 1, sizeof(char *));
    (*names)[n] = mem_strdup("");
    (*paths)[n++] = weights;
    for (int i = 0; i < BESIDE; i++) {
        if (file_exists(beside[i])) {
            (*names)[n] = mem_strdup(NAMES[i]);
            (*paths)[n++] = mem_strdup(beside[i]);
        }
        mem_free(beside[i]);
    }
    return n;
}

static int open_file(PeerFile *file, const char *path, Error *error)
{
    if (!(file->path = folder_exists(path) ? in_folder(path, error) : mem_strdup(path)))
        return -1;
    if ((is_safetensors(file->path) ? take_safetensors(file, error) : take_torch(file, error)) < 0)
        return -1;
    file->weights = (PeerWeights){.tensors = file->tensors, .n_tensors = file->n_tensors};
    if (peer_recognise(&file->weights, error) < 0)
        return error_prefix(error, "%s", file->path);
    if (find_config(file, error) < 0)
        return -1;
    file->weights.config = file->config;
    return 0;
}

PeerFile *peer_open(const char *path, Error *error)
{
    PeerFile *file = mem_zero(1, sizeof *file);
    if (open_file(file, path, error) == 0)
        return file;
    peer_close(file);
    return NULL;
}

void peer_close(PeerFile *file)
{
    if (!file)
        return;
    torch_close(file->torch);
    safe_close(file->safe);
    cJSON_Delete(file->config);
    mem_free(file->tensors);
    mem_free(file->path);
    mem_free(file);
}

const PeerWeights *peer_weights(const PeerFile *file)
{
    return &file->weights;
}

const char *peer_path(const PeerFile *file)
{
    return file->path;
}
