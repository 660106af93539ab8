#include "cache/torch_tensor.h"

#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "base/memory.h"

enum { DIMS_MOST = 8, GROWTH_MOST = 16, GROWTH_FLOOR = 1 << 20 };

typedef enum Global {
    GLOBAL_ORDERED_DICT,
    GLOBAL_SIZE,
    GLOBAL_REBUILD_TENSOR,
    GLOBAL_REBUILD_PARAMETER,
    GLOBAL_FLOAT,
    GLOBAL_DOUBLE,
    GLOBAL_HALF,
    GLOBAL_BFLOAT16,
    GLOBAL_LONG,
    GLOBAL_INT,
    GLOBAL_SHORT,
    GLOBAL_CHAR,
    GLOBAL_BYTE,
    GLOBAL_BOOL,
    N_GLOBALS,
} Global;

static const struct {
    const char *module, *name;
    int element_bytes; // 0: no storage
} GLOBALS[N_GLOBALS] = {
    [GLOBAL_ORDERED_DICT] = {"collections", "OrderedDict", 0},
    [GLOBAL_SIZE] = {"torch", "Size", 0},
    [GLOBAL_REBUILD_TENSOR] = {"torch._utils", "_rebuild_tensor_v2", 0},
    [GLOBAL_REBUILD_PARAMETER] = {"torch._utils", "_rebuild_parameter", 0},
    [GLOBAL_FLOAT] = {"torch", "FloatStorage", 4},
    [GLOBAL_DOUBLE] = {"torch", "DoubleStorage", 8},
    [GLOBAL_HALF] = {"torch", "HalfStorage", 2},
    [GLOBAL_BFLOAT16] = {"torch", "BFloat16Storage", 2},
    [GLOBAL_LONG] = {"torch", "LongStorage", 8},
    [GLOBAL_INT] = {"torch", "IntStorage", 4},
    [GLOBAL_SHORT] = {"torch", "ShortStorage", 2},
    [GLOBAL_CHAR] = {"torch", "CharStorage", 1},
    [GLOBAL_BYTE] = {"torch", "ByteStorage", 1},
    [GLOBAL_BOOL] = {"torch", "BoolStorage", 1},
};

typedef struct Storage {
    char *bytes; // NULL: not read yet
    size_t n_bytes;
    bool in_use; // a tensor lies in it
} Storage;

struct TensorBuilder {
    TorchZip *zip;
    ValueStore *values;
    Storage *storages; // [n_members], by member
    int64_t n_members;
    int64_t n_growth; // float32 elements that may still be converted
};

TensorBuilder *tensor_builder_create(TorchZip *zip, ValueStore *values)
{
    TensorBuilder *builder = mem_zero(1, sizeof *builder);
    builder->zip = zip;
    builder->values = values;
    builder->n_members = torch_zip_count(zip);
    builder->storages = mem_zero((size_t)builder->n_members, sizeof *builder->storages);
    builder->n_growth = (GROWTH_MOST * (int64_t)torch_zip_bytes(zip) + GROWTH_FLOOR) / (int)sizeof(float);
    return builder;
}

void tensor_builder_settle(TensorBuilder *builder)
{
    for (int64_t i = 0; i < builder->n_members; i++)
        if (!builder->storages[i].in_use) {
            mem_free(builder->storages[i].bytes);
            builder->storages[i].bytes = NULL;
        }
}

void tensor_builder_destroy(TensorBuilder *builder)
{
    if (!builder)
        return;
    for (int64_t i = 0; i < builder->n_members; i++)
        mem_free(builder->storages[i].bytes);
    mem_free(builder->storages);
    mem_free(builder);
}

Value *global_create(ValueStore *values, const char *module, const char *name)
{
    for (int i = 0; i < N_GLOBALS; i++)
        if (strcmp(module, GLOBALS[i].module) == 0 && strcmp(name, GLOBALS[i].name) == 0) {
            Value *value = value_create(values, TORCH_NONE, VALUE_GLOBAL);
            value->global = i;
            return value;
        }
    return NULL;
}

static Value *argument(const Value *arguments, int64_t index)
{
    return (Value *)arguments->items[index];
}

static Value *refuse(Error *error, const char *reason)
{
    error_set(error, "%s", reason);
    return NULL;
}

// The key is part of a member's name; PyTorch counts the storages.
static bool is_key(const Value *value)
{
    const char *digits = "0123456789";
    return value->shown.kind == TORCH_TEXT && value->shown.text[0] &&
           strspn(value->shown.text, digits) == strlen(value->shown.text) && strlen(value->shown.text) <= 20;
}

static int read_storage(TensorBuilder *builder, const char *key, int64_t *member, Error *error)
{
    char name[32];
    snprintf(name, sizeof name, "data/%s", key);
    *member = torch_zip_find(builder->zip, name);
    if (*member < 0)
        return error_set(error, "storage %s is missing from the archive", name);
    Storage *storage = &builder->storages[*member];
    return storage->bytes ? 0
                          : torch_zip_read(builder->zip, *member, &storage->bytes, &storage->n_bytes, error);
}

Value *storage_load(TensorBuilder *builder, const Value *id, Error *error)
{
    if (id->role != VALUE_TUPLE || id->shown.n != 5 || argument(id, 0)->shown.kind != TORCH_TEXT ||
        strcmp(argument(id, 0)->shown.text, "storage") != 0 || argument(id, 1)->role != VALUE_GLOBAL ||
        GLOBALS[argument(id, 1)->global].element_bytes == 0 || !is_key(argument(id, 2)) ||
        argument(id, 4)->shown.kind != TORCH_INTEGER || argument(id, 4)->shown.integer < 0)
        return refuse(error, "a persistent id does not describe a storage");
    int64_t n_elements = argument(id, 4)->shown.integer, n_bytes, member;
    const char *key = argument(id, 2)->shown.text;
    int type = argument(id, 1)->global;
    if (read_storage(builder, key, &member, error) != 0)
        return NULL;
    const Storage *storage = &builder->storages[member];
    if (__builtin_mul_overflow(n_elements, (int64_t)GLOBALS[type].element_bytes, &n_bytes) ||
        (size_t)n_bytes > storage->n_bytes) {
        error_set(error, "storage data/%s is shorter than the pickle says", key);
        return NULL;
    }
    Value *value = value_create(builder->values, TORCH_NONE, VALUE_STORAGE);
    value->global = type;
    value->member = member;
    value->bytes = storage->bytes;
    value->shown.n_elements = n_elements;
    return value;
}

static float element(Global type, const void *bytes, int64_t index)
{
    switch (type) {
    case GLOBAL_DOUBLE:
        return (float)((const double *)bytes)[index];
    case GLOBAL_HALF:
        return half_to_float(((const uint16_t *)bytes)[index]);
    case GLOBAL_BFLOAT16:
        return bfloat16_to_float(((const uint16_t *)bytes)[index]);
    case GLOBAL_LONG:
        return (float)((const int64_t *)bytes)[index];
    case GLOBAL_INT:
        return (float)((const int32_t *)bytes)[index];
    case GLOBAL_SHORT:
        return ((const int16_t *)bytes)[index];
    case GLOBAL_CHAR:
        return ((const int8_t *)bytes)[index];
    case GLOBAL_BYTE:
        return ((const uint8_t *)bytes)[index];
    case GLOBAL_BOOL:
        return ((const uint8_t *)bytes)[index] != 0;
    default:
        return ((const float *)bytes)[index];
    }
}

// Shape and strides as two lists of whole numbers; strides count elements.
static int read_shape(const Value *sizes, const Value *strides, TorchValue *tensor, int64_t *stride,
                      Error *error)
{
    if (sizes->shown.kind != TORCH_LIST || strides->shown.kind != TORCH_LIST ||
        sizes->shown.n != strides->shown.n || sizes->shown.n > DIMS_MOST)
        return error_set(error, "a tensor's shape and strides are not two lists of at most %d", DIMS_MOST);
    tensor->n_dims = (int)sizes->shown.n;
    tensor->n_elements = 1;
    for (int i = 0; i < tensor->n_dims; i++) {
        const TorchValue *size = sizes->items[i], *step = strides->items[i];
        if (size->kind != TORCH_INTEGER || size->integer < 0 || step->kind != TORCH_INTEGER ||
            step->integer < 0 ||
            __builtin_mul_overflow(tensor->n_elements, size->integer, &tensor->n_elements))
            return error_set(error, "a tensor has an impossible shape or stride");
        tensor->dim[i] = size->integer;
        stride[i] = step->integer;
    }
    return 0;
}

static int check_extent(const Value *storage, const TorchValue *tensor, int64_t offset, const int64_t *stride,
                        Error *error)
{
    int64_t last = offset, reach;
    bool inside = offset >= 0;
    for (int i = 0; i < tensor->n_dims && tensor->n_elements > 0; i++)
        inside = inside && !__builtin_mul_overflow(tensor->dim[i] - 1, stride[i], &reach) &&
                 !__builtin_add_overflow(last, reach, &last);
    if (!inside || (tensor->n_elements > 0 && last >= storage->shown.n_elements))
        return error_set(error, "a tensor reaches beyond its storage");
    return 0;
}

static bool is_contiguous(const TorchValue *tensor, const int64_t *stride)
{
    int64_t expected = 1;
    for (int i = tensor->n_dims; i-- > 0; expected *= tensor->dim[i])
        if (tensor->dim[i] != 1 && stride[i] != expected)
            return false;
    return true;
}

static void gather(const Value *storage, const TorchValue *tensor, int64_t offset, const int64_t *stride,
                   float *out)
{
    int64_t index[DIMS_MOST] = {0}, at = offset;
    for (int64_t i = 0; i < tensor->n_elements; i++) {
        out[i] = element((Global)storage->global, storage->bytes, at);
        int d = tensor->n_dims - 1;
        for (; d >= 0 && index[d] == tensor->dim[d] - 1; d--) {
            at -= index[d] * stride[d];
            index[d] = 0;
        }
        if (d < 0)
            return;
        index[d]++;
        at += stride[d];
    }
}

static int fill_tensor(TensorBuilder *builder, const Value *storage, int64_t offset, const int64_t *stride,
                       Value *tensor, Error *error)
{
    TorchValue *shown = &tensor->shown;
    if (shown->n_elements == 0 || (storage->global == GLOBAL_FLOAT && is_contiguous(shown, stride))) {
        shown->data = (const float *)storage->bytes + (shown->n_elements ? offset : 0);
        builder->storages[storage->member].in_use = true;
        return 0;
    }
    if (shown->n_elements > builder->n_growth)
        return error_set(error, "the tensors would take more than %d times the file's size", GROWTH_MOST);
    float *data = mem_try_alloc((size_t)shown->n_elements, sizeof *data, "a checkpoint's tensor", error);
    if (!data)
        return -1;
    builder->n_growth -= shown->n_elements;
    gather(storage, shown, offset, stride, data);
    tensor->owned = data;
    shown->data = data;
    return 0;
}

// (storage, offset, shape, strides, requires_grad, hooks[, metadata]); the last ones say nothing to us.
static Value *rebuild_tensor(TensorBuilder *builder, const Value *arguments, Error *error)
{
    if (arguments->shown.n < 6 || arguments->shown.n > 7 || argument(arguments, 0)->role != VALUE_STORAGE ||
        argument(arguments, 1)->shown.kind != TORCH_INTEGER)
        return refuse(error, "a tensor is not described as PyTorch does");
    const Value *storage = argument(arguments, 0);
    int64_t offset = argument(arguments, 1)->shown.integer, stride[DIMS_MOST];
    Value *tensor = value_create(builder->values, TORCH_TENSOR, VALUE_PLAIN);
    if (read_shape(argument(arguments, 2), argument(arguments, 3), &tensor->shown, stride, error) != 0 ||
        check_extent(storage, &tensor->shown, offset, stride, error) != 0 ||
        fill_tensor(builder, storage, offset, stride, tensor, error) != 0)
        return NULL;
    return tensor;
}

Value *global_call(TensorBuilder *builder, const Value *callable, Value *arguments, Error *error)
{
    if (callable->role != VALUE_GLOBAL || arguments->role != VALUE_TUPLE)
        return refuse(error, "something is called that is no function, or without a tuple of arguments");
    int64_t n = arguments->shown.n;
    Value *first = n > 0 ? argument(arguments, 0) : NULL;
    switch ((Global)callable->global) {
    case GLOBAL_ORDERED_DICT:
        return n == 0 ? value_create(builder->values, TORCH_DICT, VALUE_DICT)
                      : refuse(error, "an OrderedDict is made from something");
    case GLOBAL_SIZE:
        return n == 1 && first->role == VALUE_TUPLE ? first
                                                    : refuse(error, "a torch.Size is not made of a tuple");
    case GLOBAL_REBUILD_TENSOR:
        return rebuild_tensor(builder, arguments, error);
    case GLOBAL_REBUILD_PARAMETER:
        return n == 3 && first->shown.kind == TORCH_TENSOR
                   ? first
                   : refuse(error, "a parameter is not made of a tensor");
    default:
        return refuse(error, "a storage is made in place instead of read from the archive");
    }
}
