// Pickles of protocol 2 to 5 with the instructions that torch.save writes. Numbers, text, lists, tuples and
// dictionaries are built; only the globals of cache/torch_tensor.h may be named or called. State that is set
// on a dictionary (PyTorch's _metadata) is parsed and dropped. Nothing is executed.
#pragma once
#include "cache/torch_tensor.h"

// The value that the pickle describes, owned by `values`; NULL on error, which names the byte of the
// instruction that was refused. `bytes` may be freed afterwards.
const TorchValue *pickle_read(const void *bytes, size_t n_bytes, TensorBuilder *builder, ValueStore *values,
                              Error *error);
