// NumPy's .npy (version 1.0 and 2.0, C order, little-endian): float32 matrices [rows, cols], in a file or in
// memory. Numbers of 16 and 64 bits are read, too.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

// A new block holding the whole file; the caller frees.
int npy_encode(const float *matrix, int64_t rows, int64_t cols, char **data, size_t *n_bytes, Error *error);
// `name` is for the error text. Accepts <f2, <f4 and <f8, one or two dimensions. *matrix is new; the caller
// frees.
int npy_decode(const char *name, const void *data, size_t n_bytes, float **matrix, int64_t *rows,
               int64_t *cols, Error *error);
int npy_load(const char *path, float **matrix, int64_t *rows, int64_t *cols, Error *error);
// The shape that a file's header gives; -1 without a word where it is none.
int npy_shape(const char *path, int64_t *rows, int64_t *cols);
int npy_publish(const char *path, const float *matrix, int64_t rows, int64_t cols, Error *error);
