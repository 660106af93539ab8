// y = f(x), element by element, for the functions of one value between layers: one table of them. n:
// elements.
#include "tensor/ops.h"
#include "tensor/rows.h"
#include "tensor/vecmath.h"

enum { STRETCH = 1 << 13 }; // elements that a thread takes at a time

// --- the functions, and their derivatives from x and y

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

// --- the table

static void map_range(Activation activation, const float *x, float *y, int64_t n)
{
    switch (activation) {
    case ACTIVATION_RELU:
        return map(x, y, n, relu);
    case ACTIVATION_GELU:
        return map(x, y, n, gelu);
    case ACTIVATION_SWISH:
        return map(x, y, n, swish);
    case ACTIVATION_TANH:
        return map(x, y, n, fast_tanh);
    case ACTIVATION_SIGMOID:
        return map(x, y, n, fast_sigmoid);
    }
}

static void map_range_backward(Activation activation, const float *x, const float *y, const float *d_y,
                               float *d_x, int64_t n, bool fresh)
{
    switch (activation) {
    case ACTIVATION_RELU:
        return map_backward(x, y, d_y, d_x, n, fresh, relu_slope);
    case ACTIVATION_GELU:
        return map_backward(x, y, d_y, d_x, n, fresh, gelu_slope);
    case ACTIVATION_SWISH:
        return map_backward(x, y, d_y, d_x, n, fresh, swish_slope);
    case ACTIVATION_TANH:
        return map_backward(x, y, d_y, d_x, n, fresh, tanh_slope);
    case ACTIVATION_SIGMOID:
        return map_backward(x, y, d_y, d_x, n, fresh, sigmoid_slope);
    }
}

static void activate_backward(Tape *tape, const Node *node);

static const Operator OPERATORS[] = {[ACTIVATION_RELU] = {"relu", activate_backward},
                                     [ACTIVATION_GELU] = {"gelu", activate_backward},
                                     [ACTIVATION_SWISH] = {"swish", activate_backward},
                                     [ACTIVATION_TANH] = {"tanh", activate_backward},
                                     [ACTIVATION_SIGMOID] = {"sigmoid", activate_backward}};

static int64_t rest_of(int64_t n, int64_t from)
{
    return n - from < STRETCH ? n - from : STRETCH;
}

static void activate_backward(Tape *tape, const Node *node)
{
    Activation activation = (Activation)(node->op - OPERATORS);
    int64_t n = tensor_size(node->output);
    bool fresh;
    float *d_x = tape_grad_fresh(tape, node->inputs[0], &fresh);
    const float *x = node->inputs[0]->data, *y = node->output->data, *d_y = node->output->grad;
#pragma omp parallel for schedule(static) if (n > PARALLEL_FROM)
    for (int64_t from = 0; from < n; from += STRETCH)
        map_range_backward(activation, x + from, y + from, d_y + from, d_x + from, rest_of(n, from), fresh);
}

Tensor *op_activate(Tape *tape, Tensor *x, Activation activation)
{
    int64_t n = tensor_size(x);
    Tensor *y = tape_tensor_like(tape, x);
#pragma omp parallel for schedule(static) if (n > PARALLEL_FROM)
    for (int64_t from = 0; from < n; from += STRETCH)
        map_range(activation, x->data + from, y->data + from, rest_of(n, from));
    tape_record(tape, &OPERATORS[activation], y, &x, 1, NULL);
    return y;
}
