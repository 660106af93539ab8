#include "train/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "nn/mismatch.h"

static const char *const FORMAT_KEY = "format", *const MODEL_FORMAT = "voxloop model 1";

static bool has_prefix(const char *name, const char *prefix)
{
    return prefix && strncmp(name, prefix, strlen(prefix)) == 0;
}

static SafeTensor describe(const Parameter *item)
{
    SafeTensor tensor = {.name = item->name,
                         .type = SAFE_F32,
                         .n_dims = item->tensor.n_dims,
                         .n_elements = tensor_size(&item->tensor),
                         .data = item->tensor.data};
    memcpy(tensor.dim, item->tensor.dim, (size_t)item->tensor.n_dims * sizeof(int64_t));
    return tensor;
}

int model_publish(const char *path, const Parameters *parameters, const char *skip_prefix,
                  const ModelInfo *info, Error *error)
{
    SafeTensor *tensors = mem_alloc((size_t)parameters->n_items, sizeof *tensors);
    int64_t n = 0;
    for (int64_t i = 0; i < parameters->n_items; i++)
        if (!has_prefix(parameters->items[i]->name, skip_prefix))
            tensors[n++] = describe(parameters->items[i]);
    char *architecture = cJSON_PrintUnformatted(info->architecture);
    char step[24], seed[24];
    snprintf(step, sizeof step, "%" PRId64, info->step);
    snprintf(seed, sizeof seed, "%" PRId64, info->seed);
    const SafeMetadata metadata[] = {{FORMAT_KEY, MODEL_FORMAT},
                                     {"architecture", architecture},
                                     {"step", step},
                                     {"seed", seed},
                                     {"recipe", info->recipe}};
    int status = safe_publish(path, tensors, n, metadata, sizeof metadata / sizeof metadata[0], error);
    cJSON_free(architecture);
    mem_free(tensors);
    return status;
}

// --- loading by name

static bool same_shape(const SafeTensor *tensor, const Tensor *wanted)
{
    if (tensor->type != SAFE_F32 || tensor->n_dims != wanted->n_dims)
        return false;
    return memcmp(tensor->dim, wanted->dim, (size_t)wanted->n_dims * sizeof(int64_t)) == 0;
}

// Lists what does not fit. The parameters may not have memory yet: a file that does not hold what its
// architecture names is refused before anything of that size is allocated.
static void compare_tensors(const SafeReader *reader, const Parameters *parameters, const char *skip_prefix,
                            Mismatch *mismatch)
{
    for (int64_t i = 0; i < parameters->n_items; i++) {
        const Parameter *item = parameters->items[i];
        const SafeTensor *tensor = safe_find(reader, item->name);
        if (has_prefix(item->name, skip_prefix))
            continue;
        if (!tensor)
            list_name(&mismatch->missing, item->name);
        else if (!same_shape(tensor, &item->tensor))
            list_name(&mismatch->misshapen, item->name);
    }
    for (int64_t i = 0; i < safe_count(reader); i++)
        if (!parameters_find(parameters, safe_at(reader, i)->name) &&
            !has_prefix(safe_at(reader, i)->name, CLASSIFIER_PREFIX))
            list_name(&mismatch->surplus, safe_at(reader, i)->name);
}

// Of the tensors that will be used, all numbers are some.
static int check_values(const char *path, const SafeReader *reader, const Parameters *parameters,
                        const char *skip_prefix, Error *error)
{
    for (int64_t i = 0; i < parameters->n_items; i++) {
        const Parameter *item = parameters->items[i];
        const SafeTensor *tensor = safe_find(reader, item->name);
        if (tensor && same_shape(tensor, &item->tensor) && !has_prefix(item->name, skip_prefix) &&
            check_finite(path, item->name, tensor->data, tensor->n_elements, error) < 0)
            return -1;
    }
    return 0;
}

// Copies what fits; returns how many tensors that were.
static int64_t copy_tensors(const SafeReader *reader, Parameters *parameters, const char *skip_prefix)
{
    int64_t n_copied = 0;
    for (int64_t i = 0; i < parameters->n_items; i++) {
        Parameter *item = parameters->items[i];
        const SafeTensor *tensor = safe_find(reader, item->name);
        if (!tensor || !same_shape(tensor, &item->tensor) || has_prefix(item->name, skip_prefix))
            continue;
        memcpy(item->tensor.data, tensor->data, (size_t)tensor->n_elements * sizeof(float));
        n_copied++;
    }
    return n_copied;
}

static cJSON *read_architecture(const char *path, const SafeReader *reader, Error *error)
{
    const char *text = safe_metadata(reader, "architecture");
    cJSON *architecture = text ? cJSON_Parse(text) : NULL;
    if (!cJSON_IsObject(architecture)) {
        error_set(error, "%s does not say its architecture; import foreign weights with voxloop-import",
                  path);
        cJSON_Delete(architecture);
        return NULL;
    }
    return architecture;
}

cJSON *model_architecture(const char *path, Error *error)
{
    SafeReader *reader = safe_open(path, error);
    cJSON *architecture = reader ? read_architecture(path, reader, error) : NULL;
    safe_close(reader);
    return architecture;
}

void loaded_encoder_release(LoadedEncoder *loaded)
{
    encoder_destroy(loaded->encoder);
    parameters_release(&loaded->parameters);
    cJSON_Delete(loaded->architecture);
    *loaded = (LoadedEncoder){0};
}

static int load_encoder(const char *path, const SafeReader *reader, LoadedEncoder *loaded, Error *error)
{
    Mismatch mismatch = {0};
    if (!(loaded->architecture = read_architecture(path, reader, error)))
        return -1;
    if (!(loaded->encoder = encoder_create(loaded->architecture, &loaded->parameters, error)))
        return error_prefix(error, "%s", path);
    compare_tensors(reader, &loaded->parameters, NULL, &mismatch);
    if (mismatch_check(&mismatch, path, error) < 0 ||
        check_values(path, reader, &loaded->parameters, NULL, error) < 0 ||
        parameters_allocate(&loaded->parameters, 0, false, error) < 0)
        return -1;
    copy_tensors(reader, &loaded->parameters, NULL);
    return 0;
}

int encoder_load(const char *path, LoadedEncoder *loaded, Error *error)
{
    SafeReader *reader = safe_open(path, error);
    if (!reader)
        return -1;
    *loaded = (LoadedEncoder){0};
    parameters_init(&loaded->parameters);
    int status = load_encoder(path, reader, loaded, error);
    if (status < 0)
        loaded_encoder_release(loaded);
    safe_close(reader);
    return status;
}

static const double HEAD_MOST = 1 << 24; // numbers of a pooling or head that a pre-trained model lacks

// Fails where the two are not one model: shapes differ, or the file lacks more numbers than it holds and than
// a new head has.
static int compare_start(const char *path, const SafeReader *reader, const Parameters *parameters,
                         const char *skip_prefix, Mismatch *mismatch, Error *error)
{
    double found = 0, missing = 0;
    compare_tensors(reader, parameters, skip_prefix, mismatch);
    for (int64_t i = 0; i < parameters->n_items; i++) {
        const Parameter *item = parameters->items[i];
        if (!has_prefix(item->name, skip_prefix))
            *(safe_find(reader, item->name) ? &found : &missing) += (double)tensor_size(&item->tensor);
    }
    if (mismatch->misshapen.n > 0 || (missing > found && missing > HEAD_MOST) || found == 0)
        return mismatch_check(mismatch, path, error);
    return check_values(path, reader, parameters, skip_prefix, error);
}

int model_check_start(const char *path, const Parameters *parameters, const char *skip_prefix, Error *error)
{
    SafeReader *reader = safe_open(path, error);
    Mismatch mismatch = {0};
    int status = reader ? compare_start(path, reader, parameters, skip_prefix, &mismatch, error) : -1;
    safe_close(reader);
    return status;
}

int model_warm_start(const char *path, Parameters *parameters, const char *skip_prefix, WarmStart *result,
                     Error *error)
{
    SafeReader *reader = safe_open(path, error);
    if (!reader)
        return -1;
    Mismatch mismatch = {0};
    int status = compare_start(path, reader, parameters, skip_prefix, &mismatch, error);
    *result = (WarmStart){.n_missing = mismatch.missing.n, .n_surplus = mismatch.surplus.n};
    if (status == 0)
        result->n_loaded = copy_tensors(reader, parameters, skip_prefix);
    memcpy(result->missing, mismatch.missing.text, sizeof result->missing);
    memcpy(result->surplus, mismatch.surplus.text, sizeof result->surplus);
    safe_close(reader);
    return status;
}
