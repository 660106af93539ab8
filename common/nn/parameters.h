// The parameters of a model: one flat array of values, one of gradients, and a table of names. Layers declare
// what they need while a model is being built and keep the Parameter pointers; parameters_allocate() then
// lays everything out in declaration order and draws the initial values, each tensor from its own stream
// (seed, name).
//
// Names are the reference implementations' own (FIELD.md), so peers' weights load by name. Buffers
// (batch-norm running statistics) are in a second flat array: saved and loaded, never optimised or averaged.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "tensor/tensor.h"

typedef enum InitKind {
    INIT_ZERO,
    INIT_ONE,
    INIT_CONSTANT,         // value
    INIT_NORMAL,           // standard deviation `value`
    INIT_TRUNCATED_NORMAL, // the same, cut at two standard deviations
    INIT_UNIFORM,          // [-value, value]
} InitKind;

typedef struct Init {
    InitKind kind;
    float value;
} Init;

typedef struct Parameter {
    char *name;
    Tensor tensor;  // data and grad point into the flat arrays once allocated
    int64_t offset; // into the flat array of its kind
    Init init;
    int group;      // learning-rate group, 0 unless set
    bool decay;     // weight decay applies (default: tensors of two or more dimensions)
    bool trainable; // see parameters_freeze()
    bool is_buffer;
} Parameter;

typedef struct Parameters {
    Parameter **items; // in declaration order
    int64_t n_items;
    float *values, *grads; // [n_values]
    float *buffers;        // [n_buffers]
    int64_t n_values, n_buffers;
} Parameters;

void parameters_init(Parameters *parameters);
void parameters_release(Parameters *parameters);

// Declares; name is printf-style. The pointer is good until parameters_release().
Parameter *parameters_add(Parameters *parameters, int n_dims, const int64_t *dims, Init init,
                          const char *name, ...) __attribute__((format(printf, 5, 6)));
Parameter *parameters_add_buffer(Parameters *parameters, int64_t size, Init init, const char *name, ...)
    __attribute__((format(printf, 4, 5)));

// with_grads = false for teachers and extraction.
int parameters_allocate(Parameters *parameters, uint64_t seed, bool with_grads, Error *error);
Parameter *parameters_find(const Parameters *parameters, const char *name); // NULL: not there
void parameters_zero_grads(Parameters *parameters);
// Every parameter whose name starts with the prefix: no gradient, no update. Returns how many.
int64_t parameters_freeze(Parameters *parameters, const char *prefix);
