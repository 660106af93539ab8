#include "train/optimizer.h"

#include <assert.h>
#include <math.h>

#include "base/memory.h"

// Long sums are split at fixed places, so that threads do not change the order of additions.
enum { BLOCK = 1 << 16 };

OptimizerOptions optimizer_defaults(OptimizerKind kind)
{
    return (OptimizerOptions){.kind = kind, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
}

static float *moments(int64_t n, Error *error)
{
    float *values = mem_try_alloc((size_t)n, sizeof(float), "the optimiser's moments", error);
    for (int64_t i = 0; values && i < n; i++)
        values[i] = 0;
    return values;
}

int optimizer_init(Optimizer *optimizer, const OptimizerOptions *options, Parameters *parameters,
                   Error *error)
{
    assert(parameters->grads || parameters->n_values == 0);
    *optimizer = (Optimizer){.options = *options, .parameters = parameters};
    for (int g = 0; g < OPTIMIZER_GROUPS; g++)
        optimizer->group_factor[g] = 1;
    bool adam = options->kind != OPTIMIZER_SGD;
    if ((adam || options->momentum > 0) && !(optimizer->first = moments(parameters->n_values, error)))
        return -1;
    if (adam && !(optimizer->second = moments(parameters->n_values, error)))
        return -1;
    return 0;
}

void optimizer_release(Optimizer *optimizer)
{
    mem_free(optimizer->first);
    mem_free(optimizer->second);
    *optimizer = (Optimizer){0};
}

typedef struct Slice { // one parameter in the flat arrays
    float *w, *first, *second;
    const float *grad;
    int64_t n;
    double learning_rate, decay;
} Slice;

static void step_sgd(const OptimizerOptions *options, const Slice *s)
{
    float momentum = (float)options->momentum, rate = (float)s->learning_rate, decay = (float)s->decay;
    bool nesterov = options->nesterov;
#pragma omp parallel for simd schedule(static) if (s->n > BLOCK)
    for (int64_t i = 0; i < s->n; i++) {
        float g = s->grad[i] + decay * s->w[i], direction = g;
        if (s->first) {
            float v = s->first[i] = momentum * s->first[i] + g;
            direction = nesterov ? g + momentum * v : v;
        }
        s->w[i] -= rate * direction;
    }
}

static void step_adam(const OptimizerOptions *options, const Slice *s, int64_t step)
{
    bool decoupled = options->kind == OPTIMIZER_ADAMW;
    double correction1 = 1 - pow(options->beta1, (double)step);
    double correction2 = 1 - pow(options->beta2, (double)step);
    float beta1 = (float)options->beta1, rest1 = (float)(1 - options->beta1);
    float beta2 = (float)options->beta2, rest2 = (float)(1 - options->beta2);
    float rate = (float)(s->learning_rate / correction1), root = (float)(1 / sqrt(correction2));
    float epsilon = (float)options->epsilon, decay = decoupled ? 0 : (float)s->decay;
    float shrink = decoupled ? (float)(1 - s->learning_rate * s->decay) : 1;
#pragma omp parallel for simd schedule(static) if (s->n > BLOCK)
    for (int64_t i = 0; i < s->n; i++) {
        float g = s->grad[i] + decay * s->w[i];
        float m = s->first[i] = beta1 * s->first[i] + rest1 * g;
        float v = s->second[i] = beta2 * s->second[i] + rest2 * g * g;
        s->w[i] = shrink * s->w[i] - rate * m / (sqrtf(v) * root + epsilon);
    }
}

void optimizer_step(Optimizer *optimizer, double learning_rate)
{
    const OptimizerOptions *options = &optimizer->options;
    Parameters *parameters = optimizer->parameters;
    optimizer->n_steps++;
    for (int64_t p = 0; p < parameters->n_items; p++) {
        const Parameter *item = parameters->items[p];
        if (item->is_buffer || !item->trainable)
            continue;
        assert(item->group >= 0 && item->group < OPTIMIZER_GROUPS);
        int64_t at = item->offset;
        Slice slice = {.w = parameters->values + at,
                       .first = optimizer->first ? optimizer->first + at : NULL,
                       .second = optimizer->second ? optimizer->second + at : NULL,
                       .grad = parameters->grads + at,
                       .n = tensor_size(&item->tensor),
                       .learning_rate = learning_rate * optimizer->group_factor[item->group],
                       .decay = item->decay ? options->weight_decay : 0};
        if (options->kind == OPTIMIZER_SGD)
            step_sgd(options, &slice);
        else
            step_adam(options, &slice, optimizer->n_steps);
    }
}

// --- clipping

static double sum_of_squares(const float *x, int64_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

static double squared_norm(const float *x, int64_t n)
{
    int64_t n_blocks = (n + BLOCK - 1) / BLOCK;
    if (n_blocks <= 1)
        return sum_of_squares(x, n);
    double *partial = mem_alloc((size_t)n_blocks, sizeof *partial), sum = 0;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < n_blocks; b++)
        partial[b] = sum_of_squares(x + b * BLOCK, b + 1 < n_blocks ? BLOCK : n - b * BLOCK);
    for (int64_t b = 0; b < n_blocks; b++)
        sum += partial[b];
    mem_free(partial);
    return sum;
}

static void scale_to(float *x, int64_t n, double norm, double max_norm)
{
    float factor = (float)(max_norm / (norm + 1e-6));
    if (max_norm <= 0 || !(factor < 1))
        return;
#pragma omp parallel for simd schedule(static) if (n > BLOCK)
    for (int64_t i = 0; i < n; i++)
        x[i] *= factor;
}

// Sum of squared norms of all trainable gradients; clips each to max_norm on the way.
static double visit_gradients(Parameters *parameters, double max_norm)
{
    double total = 0;
    for (int64_t p = 0; p < parameters->n_items; p++) {
        const Parameter *item = parameters->items[p];
        if (item->is_buffer || !item->trainable)
            continue;
        float *grad = parameters->grads + item->offset;
        double squared = squared_norm(grad, tensor_size(&item->tensor));
        scale_to(grad, tensor_size(&item->tensor), sqrt(squared), max_norm);
        total += squared;
    }
    return total;
}

double gradients_clip_each(Parameters *parameters, double max_norm)
{
    return sqrt(visit_gradients(parameters, max_norm));
}

double gradients_clip_global(Parameters *parameters, double max_norm)
{
    double norm = sqrt(visit_gradients(parameters, 0));
    for (int64_t p = 0; p < parameters->n_items; p++) {
        const Parameter *item = parameters->items[p];
        if (!item->is_buffer && item->trainable)
            scale_to(parameters->grads + item->offset, tensor_size(&item->tensor), norm, max_norm);
    }
    return norm;
}
