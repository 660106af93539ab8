#include "infer/speakers.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/safetensors.h"

static const char *const FORMAT = "voxloop speakers 1";

static int64_t find(const Speakers *s, const char *name)
{
    for (int64_t i = 0; i < s->n; i++)
        if (strcmp(s->names[i], name) == 0)
            return i;
    return -1;
}

// n: as many as there are embeddings; s->n counts those taken.
static int take_names(const char *path, const cJSON *names, int64_t n, Speakers *s, Error *error)
{
    if (!cJSON_IsArray(names) || cJSON_GetArraySize(names) != n)
        return error_set(error, "%s is damaged: its names are not as many as its embeddings; enrol again",
                         path);
    const cJSON *name;
    cJSON_ArrayForEach(name, names)
    {
        if (!cJSON_IsString(name) || find(s, name->valuestring) >= 0)
            return error_set(error, "%s is damaged: name %lld is none, or there twice; enrol again", path,
                             (long long)s->n + 1);
        s->names[s->n++] = mem_strdup(name->valuestring);
    }
    return 0;
}

static int take(const char *path, const SafeReader *reader, Speakers *s, Error *error)
{
    const char *format = safe_metadata(reader, "format"), *model = safe_metadata(reader, "model");
    const SafeTensor *means = safe_find(reader, "means"), *counts = safe_find(reader, "counts");
    if (!format || strcmp(format, FORMAT) != 0 || !model || !means || !counts || means->type != SAFE_F32 ||
        means->n_dims != 2 || counts->type != SAFE_I64 || counts->n_elements != means->dim[0])
        return error_set(error, "%s holds no enrolled speakers; `voxloop enrol` makes such files", path);
    if (strcmp(model, s->model) != 0 || means->dim[1] != s->dim)
        return error_set(error,
                         "%s was made with another model (%s, this one is %s); enrol again with this one",
                         path, model, s->model);
    int64_t n = means->dim[0];
    s->names = mem_zero((size_t)n + 1, sizeof(char *));
    s->means = mem_alloc((size_t)(n * s->dim) + 1, sizeof(float));
    s->counts = mem_alloc((size_t)n + 1, sizeof(int64_t));
    memcpy(s->means, means->data, (size_t)(n * s->dim) * sizeof(float));
    memcpy(s->counts, counts->data, (size_t)n * sizeof(int64_t));
    const char *text = safe_metadata(reader, "names");
    cJSON *names = text ? cJSON_Parse(text) : NULL;
    int status = take_names(path, names, n, s, error);
    cJSON_Delete(names);
    return status;
}

int speakers_load(const char *path, const char *model, int64_t dim, Speakers *s, Error *error)
{
    *s = (Speakers){.dim = dim};
    memcpy(s->model, model, sizeof s->model);
    SafeReader *reader = safe_open(path, error);
    int status = reader ? take(path, reader, s, error) : -1;
    safe_close(reader);
    if (status < 0)
        speakers_release(s);
    return status;
}

int speakers_open(const char *path, const char *model, int64_t dim, Speakers *s, Error *error)
{
    if (file_exists(path))
        return speakers_load(path, model, dim, s, error);
    *s = (Speakers){.dim = dim};
    memcpy(s->model, model, sizeof s->model);
    return 0;
}

void speakers_add(Speakers *s, const char *name, const float *embedding)
{
    int64_t i = find(s, name), dim = s->dim;
    if (i < 0) {
        i = s->n++;
        s->names = mem_grow(s->names, (size_t)s->n, sizeof(char *));
        s->means = mem_grow(s->means, (size_t)(s->n * dim), sizeof(float));
        s->counts = mem_grow(s->counts, (size_t)s->n, sizeof(int64_t));
        s->names[i] = mem_strdup(name);
        memset(s->means + i * dim, 0, (size_t)dim * sizeof(float));
        s->counts[i] = 0;
    }
    double before = (double)s->counts[i], now = before + 1;
    for (int64_t d = 0; d < dim; d++)
        s->means[i * dim + d] = (float)((s->means[i * dim + d] * before + embedding[d]) / now);
    s->counts[i]++;
}

int speakers_publish(const char *path, const Speakers *s, Error *error)
{
    cJSON *names = cJSON_CreateArray();
    for (int64_t i = 0; i < s->n; i++)
        cJSON_AddItemToArray(names, cJSON_CreateString(s->names[i]));
    char *text = cJSON_PrintUnformatted(names);
    const SafeMetadata metadata[] = {{"format", FORMAT}, {"model", s->model}, {"names", text}};
    const SafeTensor tensors[] = {{.name = "means",
                                   .type = SAFE_F32,
                                   .n_dims = 2,
                                   .dim = {s->n, s->dim},
                                   .n_elements = s->n * s->dim,
                                   .data = s->means},
                                  {.name = "counts",
                                   .type = SAFE_I64,
                                   .n_dims = 1,
                                   .dim = {s->n},
                                   .n_elements = s->n,
                                   .data = s->counts}};
    int status = text ? safe_publish(path, tensors, 2, metadata, 3, error)
                      : error_set(error, "%s: no memory for the names", path);
    cJSON_free(text);
    cJSON_Delete(names);
    return status;
}

void speakers_release(Speakers *s)
{
    for (int64_t i = 0; i < s->n; i++)
        mem_free(s->names[i]);
    mem_free(s->names);
    mem_free(s->means);
    mem_free(s->counts);
    s->names = NULL;
    s->means = NULL;
    s->counts = NULL;
    s->n = 0;
}
