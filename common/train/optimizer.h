// Optimisers over a parameter table. Formulas are PyTorch's (torch.optim, no dampening, no AMSGrad):
//
//     SGD    g += wd w;  v = momentum v + g;  w -= lr (nesterov ? g + momentum v : v)
//     Adam   g += wd w;  m, v = moving means of g, g^2;  w -= lr m_hat / (sqrt(v_hat) + epsilon)
//     AdamW  w *= 1 - lr wd, then Adam without the decay in g
//
// wd applies to parameters with their decay flag set, lr is multiplied by the factor of the parameter's
// group, and parameters that are not trainable are left alone with their moments, as if they had no gradient.
#pragma once
#include "base/error.h"
#include "nn/parameters.h"

typedef enum OptimizerKind { OPTIMIZER_SGD, OPTIMIZER_ADAM, OPTIMIZER_ADAMW } OptimizerKind;

typedef struct OptimizerOptions {
    OptimizerKind kind;
    double weight_decay;
    double momentum; // SGD
    bool nesterov;
    double beta1, beta2, epsilon; // Adam and AdamW
} OptimizerOptions;

OptimizerOptions optimizer_defaults(OptimizerKind kind); // momentum 0, betas 0.9 and 0.999, epsilon 1e-8

enum { OPTIMIZER_GROUPS = 8 };

typedef struct Optimizer {
    OptimizerOptions options;
    Parameters *parameters;
    float *first, *second; // [n_values] moments; NULL where the kind keeps none
    int64_t n_steps;       // taken so far
    double group_factor[OPTIMIZER_GROUPS];
} Optimizer;

// parameters must be allocated with gradients, and outlive the optimiser.
int optimizer_init(Optimizer *optimizer, const OptimizerOptions *options, Parameters *parameters,
                   Error *error);
void optimizer_release(Optimizer *optimizer);
void optimizer_step(Optimizer *optimizer, double learning_rate);

// Norms are those before clipping; over trainable parameters; the same bits whatever the threads.
// A gradient is scaled by min(1, max_norm / (norm + 1e-6)); max_norm <= 0 clips nothing.
double gradients_clip_global(Parameters *parameters, double max_norm); // returns the total norm
double gradients_clip_each(Parameters *parameters, double max_norm);   // every tensor on its own
