// Names of parameters. A layer is declared in a scope, which puts its prefix in front of the layer's own
// names
// ("weight", "bias") and knows which learning-rate group they belong to:
//
//     Scope model = scope_of(parameters, "model.");
//     for (int i = 0; i < n; i++) {
//         Scope block = scope_enter(&model, "layers.%d", i);
//         blocks[i].fc1 = affine_declare(scope_enter(&block, "fc1"), 2, dims, true); //
//         model.layers.0.fc1.weight
//     }
#pragma once
#include "nn/parameters.h"

typedef struct Scope {
    Parameters *parameters;
    int group; // of everything declared inside, 0 at first
    char prefix[192];
} Scope;

Scope scope_of(Parameters *parameters, const char *prefix); // "" or with its dot
// printf-style; a dot follows the name.
Scope scope_enter(const Scope *outer, const char *format, ...) __attribute__((format(printf, 2, 3)));

// "<prefix><name>"; see parameters_add() and parameters_add_buffer().
Parameter *scope_parameter(const Scope *scope, const char *name, int n_dims, const int64_t *dims, Init init);
Parameter *scope_buffer(const Scope *scope, const char *name, int64_t size, Init init);
