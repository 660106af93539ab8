// PyTorch checkpoints: a zip archive of a pickle and the raw storages of its tensors (`torch.save`
// since 1.6). Files come from strangers: the pickle reader builds numbers, text, lists, dictionaries and
// tensors, knows only the globals that build tensors and containers, executes nothing, and refuses all else
// by name. Sizes, offsets, strides and nesting are checked; the archive's members must be stored, not
// compressed (as PyTorch writes them), so nothing can grow while it is read, and their checksums are
// verified.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/safetensors.h"

typedef enum TorchKind {
    TORCH_NONE,
    TORCH_BOOL,
    TORCH_INTEGER,
    TORCH_REAL,
    TORCH_TEXT,
    TORCH_LIST, // lists and tuples
    TORCH_DICT, // dict, OrderedDict; entries in the file's order, keys are text
    TORCH_TENSOR,
} TorchKind;

typedef struct TorchValue TorchValue;
struct TorchValue {
    TorchKind kind;
    int64_t integer; // also TORCH_BOOL
    double real;
    const char *text;
    // TORCH_LIST and TORCH_DICT
    int64_t n;
    const TorchValue *const *items;
    const char *const *keys; // of a dict
    // TORCH_TENSOR: row-major, converted to float32 from float64, float16, bfloat16 and integers
    int n_dims;
    int64_t dim[8];
    int64_t n_elements;
    const float *data;
};

typedef struct TorchFile TorchFile;
// The whole checkpoint in memory; NULL on error, which names the file, the place and what was wrong.
TorchFile *torch_open(const char *path, Error *error);
void torch_close(TorchFile *file);
const TorchValue *torch_root(const TorchFile *file);
const TorchValue *torch_get(const TorchValue *dict, const char *key); // NULL: not there, or no dict

// Writes a checkpoint that torch.load(weights_only=True) opens, atomically: a dictionary of float32 tensors
// (names whole, in the given order). With `group`, it is {group: {tensors}, "cfg": cfg} as Microsoft's WavLM
// has it; cfg is a JSON object of numbers, booleans and text (cJSON), NULL for none.
struct cJSON;
int torch_publish(const char *path, const char *group, const struct cJSON *cfg, const SafeTensor *tensors,
                  int64_t n_tensors, Error *error);
