// What a PyTorch pickle may ask for beyond plain data: the few globals that build tensors and containers, and
// the storages that tensors look into. Contiguous float32 tensors are left in their storage; all others are
// converted, and what that takes together is bounded by a multiple of the file's size, because strides of
// zero could make a few bytes into terabytes.
//
//     TensorBuilder *builder = tensor_builder_create(zip, &values);
//     ... storage_load(), global_call() ...
//     tensor_builder_settle(builder);      // storages that no tensor lies in are freed
//     tensor_builder_destroy(builder);     // after the last look at a tensor
#pragma once
#include "cache/torch_value.h"
#include "cache/torch_zip.h"

typedef struct TensorBuilder TensorBuilder;

TensorBuilder *tensor_builder_create(TorchZip *zip, ValueStore *values); // neither becomes its own
void tensor_builder_settle(TensorBuilder *builder);                      // the zip may be closed after it
void tensor_builder_destroy(TensorBuilder *builder);

// "collections", "OrderedDict". NULL: not known.
Value *global_create(ValueStore *values, const char *module, const char *name);
// The value of callable(*arguments), NULL on error.
Value *global_call(TensorBuilder *builder, const Value *callable, Value *arguments, Error *error);
// The storage with the persistent id ("storage", type, key, device, elements), NULL on error.
Value *storage_load(TensorBuilder *builder, const Value *id, Error *error);
