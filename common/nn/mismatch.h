// What is wrong with weights from a file: tensors that do not fit a model, gathered by name for one sentence,
// and numbers that are none.
#pragma once
#include <stdint.h>

#include "base/error.h"

typedef struct NameList {
    char text[256]; // the first names
    int64_t n;
} NameList;

typedef struct Mismatch {
    NameList missing, surplus, misshapen;
} Mismatch;

void list_name(NameList *list, const char *name);
// 0 when nothing was listed; else the error "PATH does not fit the model: tensors 2 missing (a, b), ...".
int mismatch_check(const Mismatch *mismatch, const char *path, Error *error);
// Weights [n] that no computation can be made with are an error that names file and tensor.
int check_finite(const char *path, const char *name, const float *values, int64_t n, Error *error);
