// y = f(x), element by element. n: elements.
#include <assert.h>

#include "tensor/ops.h"
#include "tensor/rows.h"

// --- a + b

static void add_backward(Tape *tape, const Node *node)
{
    int64_t n = tensor_size(node->output);
    const float *d_y = node->output->grad;
    for (int k = 0; k < 2; k++) {
        bool fresh;
        float *d_x = tape_grad_fresh(tape, node->inputs[k], &fresh);
        if (!d_x)
            continue;
#pragma omp parallel for simd if (n > PARALLEL_FROM)
        for (int64_t i = 0; i < n; i++)
            grad_put(&d_x[i], d_y[i], fresh);
    }
}

static const Operator ADD = {"add", add_backward};

Tensor *op_add(Tape *tape, Tensor *a, Tensor *b)
{
    int64_t n = tensor_size(a);
    assert(tensor_size(b) == n);
    Tensor *y = tape_tensor_like(tape, a);
#pragma omp parallel for simd if (n > PARALLEL_FROM)
    for (int64_t i = 0; i < n; i++)
        y->data[i] = a->data[i] + b->data[i];
    tape_record(tape, &ADD, y, (Tensor *[]){a, b}, 2, NULL);
    return y;
}

// --- a * b

static void mul_backward(Tape *tape, const Node *node)
{
    int64_t n = tensor_size(node->output);
    const float *d_y = node->output->grad;
    for (int k = 0; k < 2; k++) {
        float *d_x = tape_grad(tape, node->inputs[k]);
        const float *other = node->inputs[1 - k]->data;
        if (!d_x)
            continue;
#pragma omp parallel for simd if (n > PARALLEL_FROM)
        for (int64_t i = 0; i < n; i++)
            d_x[i] += d_y[i] * other[i];
    }
}

static const Operator MUL = {"mul", mul_backward};

Tensor *op_mul(Tape *tape, Tensor *a, Tensor *b)
{
    int64_t n = tensor_size(a);
    assert(tensor_size(b) == n);
    Tensor *y = tape_tensor_like(tape, a);
#pragma omp parallel for simd if (n > PARALLEL_FROM)
    for (int64_t i = 0; i < n; i++)
        y->data[i] = a->data[i] * b->data[i];
    tape_record(tape, &MUL, y, (Tensor *[]){a, b}, 2, NULL);
    return y;
}

// --- factor * x

static void scale_backward(Tape *tape, const Node *node)
{
    int64_t n = tensor_size(node->output);
    float factor = *(const float *)node->context, *d_x = tape_grad(tape, node->inputs[0]);
    const float *d_y = node->output->grad;
#pragma omp parallel for simd if (n > PARALLEL_FROM)
    for (int64_t i = 0; i < n; i++)
        d_x[i] += factor * d_y[i];
}

static const Operator SCALE = {"scale", scale_backward};

Tensor *op_scale(Tape *tape, Tensor *x, float factor)
{
    int64_t n = tensor_size(x);
    Tensor *y = tape_tensor_like(tape, x);
#pragma omp parallel for simd if (n > PARALLEL_FROM)
    for (int64_t i = 0; i < n; i++)
        y->data[i] = factor * x->data[i];
    float *context = tape_scratch(tape, sizeof *context);
    *context = factor;
    tape_record(tape, &SCALE, y, &x, 1, context);
    return y;
}

// --- dropout

typedef struct Dropout {
    Rng rng;
    float probability;
} Dropout;

// to = what dropout leaves of from, added up unless fresh. An element is multiplied by 0 or 1/(1-p), and has
// its own place in the stream, so the backward pass draws the same.
static void drop(const Dropout *dropout, const float *from, float *to, int64_t n, bool fresh)
{
    const float probability = dropout->probability, keep = 1.0f / (1.0f - probability);
    const Rng rng = dropout->rng;
#pragma omp parallel for simd if (n > PARALLEL_FROM)
    for (int64_t i = 0; i < n; i++) {
        float factor = rng_uniform_ahead(&rng, (uint64_t)i + 1) < probability ? 0.0f : keep;
        grad_put(&to[i], factor * from[i], fresh);
    }
}

static void dropout_backward(Tape *tape, const Node *node)
{
    bool fresh;
    float *d_x = tape_grad_fresh(tape, node->inputs[0], &fresh);
    drop(node->context, node->output->grad, d_x, tensor_size(node->output), fresh);
}

static const Operator DROPOUT = {"dropout", dropout_backward};

Tensor *op_dropout(Tape *tape, Tensor *x, float probability, Rng rng)
{
    if (probability <= 0)
        return x;
    Tensor *y = tape_tensor_like(tape, x);
    Dropout *context = tape_scratch(tape, sizeof *context);
    *context = (Dropout){rng, probability};
    drop(context, x->data, y->data, tensor_size(x), true);
    tape_record(tape, &DROPOUT, y, &x, 1, context);
    return y;
}
