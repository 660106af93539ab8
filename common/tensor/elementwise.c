// y = f(x), element by element. n: elements.
#include <assert.h>
#include <math.h>

#include "tensor/ops.h"
#include "tensor/rows.h"
#include "tensor/vecmath.h"

enum { STRETCH = 1 << 13 }; // elements that a thread takes at a time

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

// --- functions of one value: the derivative from x and y

static inline float relu(float x)
{
    return x > 0 ? x : 0;
}
static inline float relu_slope(float x, float y)
{
    (void)y;
    return x > 0 ? 1.0f : 0.0f;
}
// GELU: x Phi(x), Phi the normal distribution's (Hendrycks and Gimpel 2016, exact form).
static inline float gelu(float x)
{
    return 0.5f * x * (1.0f + fast_erf(x * 0.707106781f));
}
static inline float gelu_slope(float x, float y)
{
    (void)y;
    return 0.5f * (1.0f + fast_erf(x * 0.707106781f)) + x * 0.398942280f * fast_exp(-0.5f * x * x);
}
// Swish: x sigmoid(x) (Ramachandran et al. 2017).
static inline float swish(float x)
{
    return x * fast_sigmoid(x);
}
static inline float swish_slope(float x, float y)
{
    float gate = fast_sigmoid(x);
    return gate + y * (1.0f - gate);
}
static inline float tanh_slope(float x, float y)
{
    (void)x;
    return 1.0f - y * y;
}
static inline float sigmoid_slope(float x, float y)
{
    (void)x;
    return y * (1.0f - y);
}

typedef float Function(float x);
typedef float Slope(float x, float y);

// Inlined with a constant function at each call, so that the loops vectorise.
static inline __attribute__((always_inline)) void map(const float *x, float *y, int64_t n, Function *f)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = f(x[i]);
}

static inline __attribute__((always_inline)) void map_backward(const float *x, const float *y,
                                                               const float *d_y, float *d_x, int64_t n,
                                                               bool fresh, Slope *slope)
{
    if (fresh) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            d_x[i] = d_y[i] * slope(x[i], y[i]);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            d_x[i] += d_y[i] * slope(x[i], y[i]);
    }
}

typedef void Range(const float *x, float *y, int64_t n);
typedef void RangeBackward(const float *x, const float *y, const float *d_y, float *d_x, int64_t n,
                           bool fresh);

static int64_t rest_of(int64_t n, int64_t from)
{
    return n - from < STRETCH ? n - from : STRETCH;
}

static Tensor *apply(Tape *tape, const Operator *op, Tensor *x, Range *range)
{
    int64_t n = tensor_size(x);
    Tensor *y = tape_tensor_like(tape, x);
#pragma omp parallel for schedule(static) if (n > PARALLEL_FROM)
    for (int64_t from = 0; from < n; from += STRETCH)
        range(x->data + from, y->data + from, rest_of(n, from));
    tape_record(tape, op, y, &x, 1, NULL);
    return y;
}

static void apply_backward(Tape *tape, const Node *node, RangeBackward *range)
{
    int64_t n = tensor_size(node->output);
    bool fresh;
    float *d_x = tape_grad_fresh(tape, node->inputs[0], &fresh);
    const float *x = node->inputs[0]->data, *y = node->output->data, *d_y = node->output->grad;
#pragma omp parallel for schedule(static) if (n > PARALLEL_FROM)
    for (int64_t from = 0; from < n; from += STRETCH)
        range(x + from, y + from, d_y + from, d_x + from, rest_of(n, from), fresh);
}

static void relu_range(const float *x, float *y, int64_t n)
{
    map(x, y, n, relu);
}
static void relu_range_backward(const float *x, const float *y, const float *d_y, float *d_x, int64_t n,
                                bool fresh)
{
    map_backward(x, y, d_y, d_x, n, fresh, relu_slope);
}
static void relu_backward(Tape *tape, const Node *node)
{
    apply_backward(tape, node, relu_range_backward);
}
static const Operator RELU = {"relu", relu_backward};
Tensor *op_relu(Tape *tape, Tensor *x)
{
    return apply(tape, &RELU, x, relu_range);
}

static void gelu_range(const float *x, float *y, int64_t n)
{
    map(x, y, n, gelu);
}
static void gelu_range_backward(const float *x, const float *y, const float *d_y, float *d_x, int64_t n,
                                bool fresh)
{
    map_backward(x, y, d_y, d_x, n, fresh, gelu_slope);
}
static void gelu_backward(Tape *tape, const Node *node)
{
    apply_backward(tape, node, gelu_range_backward);
}
static const Operator GELU = {"gelu", gelu_backward};
Tensor *op_gelu(Tape *tape, Tensor *x)
{
    return apply(tape, &GELU, x, gelu_range);
}

static void swish_range(const float *x, float *y, int64_t n)
{
    map(x, y, n, swish);
}
static void swish_range_backward(const float *x, const float *y, const float *d_y, float *d_x, int64_t n,
                                 bool fresh)
{
    map_backward(x, y, d_y, d_x, n, fresh, swish_slope);
}
static void swish_backward(Tape *tape, const Node *node)
{
    apply_backward(tape, node, swish_range_backward);
}
static const Operator SWISH = {"swish", swish_backward};
Tensor *op_swish(Tape *tape, Tensor *x)
{
    return apply(tape, &SWISH, x, swish_range);
}

static void tanh_range(const float *x, float *y, int64_t n)
{
    map(x, y, n, fast_tanh);
}
static void tanh_range_backward(const float *x, const float *y, const float *d_y, float *d_x, int64_t n,
                                bool fresh)
{
    map_backward(x, y, d_y, d_x, n, fresh, tanh_slope);
}
static void tanh_backward(Tape *tape, const Node *node)
{
    apply_backward(tape, node, tanh_range_backward);
}
static const Operator TANH = {"tanh", tanh_backward};
Tensor *op_tanh(Tape *tape, Tensor *x)
{
    return apply(tape, &TANH, x, tanh_range);
}

static void sigmoid_range(const float *x, float *y, int64_t n)
{
    map(x, y, n, fast_sigmoid);
}
static void sigmoid_range_backward(const float *x, const float *y, const float *d_y, float *d_x, int64_t n,
                                   bool fresh)
{
    map_backward(x, y, d_y, d_x, n, fresh, sigmoid_slope);
}
static void sigmoid_backward(Tape *tape, const Node *node)
{
    apply_backward(tape, node, sigmoid_range_backward);
}
static const Operator SIGMOID = {"sigmoid", sigmoid_backward};
Tensor *op_sigmoid(Tape *tape, Tensor *x)
{
    return apply(tape, &SIGMOID, x, sigmoid_range);
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
