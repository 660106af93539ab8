// Linear layers, convolutions and weight norm against plain loops and central differences.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "gradcheck.h"
#include "tensor/ops.h"

// --- linear

static Tensor *build_linear(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_linear(tape, leaves[0], leaves[1], leaves[2]);
}

static void plain_linear(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    const Tensor *x = leaves[0], *weight = leaves[1], *bias = leaves[2];
    int64_t in = tensor_cols(x), out = weight->dim[0];
    for (int64_t r = 0; r < tensor_rows(x); r++)
        for (int64_t o = 0; o < out; o++) {
            double sum = bias ? bias->data[o] : 0;
            for (int64_t i = 0; i < in; i++)
                sum += (double)x->data[r * in + i] * weight->data[o * in + i];
            expected[r * out + o] = sum;
        }
}

static void test_linear(void **state)
{
    (void)state;
    operator_check(&(OperatorCase){.name = "linear",
                                   .build = build_linear,
                                   .reference = plain_linear,
                                   .dims = {{2, 5, 7}, {19, 7}, {19}}});
    operator_check(&(OperatorCase){.name = "linear without bias",
                                   .build = build_linear,
                                   .reference = plain_linear,
                                   .dims = {{3, 40}, {17, 40}}});
    operator_check(&(OperatorCase){.name = "linear, kernel of one frame, fixed input",
                                   .build = build_linear,
                                   .reference = plain_linear,
                                   .dims = {{2, 5, 7}, {4, 7, 1}, {4}},
                                   .no_grad_0 = true});
}

// --- convolution

static Tensor *build_conv(Tape *tape, Tensor *const *leaves, const void *context)
{
    return op_conv1d(tape, leaves[0], leaves[1], leaves[2], *(const Conv1d *)context);
}

static int64_t or_one(int64_t value)
{
    return value ? value : 1;
}

// One output value by the definition.
static double plain_conv_at(const Tensor *x, const Tensor *weight, const Conv1d *shape, int64_t b, int64_t t,
                            int64_t o)
{
    int64_t group_in = weight->dim[1], kernel = weight->dim[2],
            group_out = weight->dim[0] / or_one(shape->groups);
    double sum = 0;
    for (int64_t k = 0; k < kernel; k++) {
        int64_t at = t * or_one(shape->stride) + k * or_one(shape->dilation) - shape->padding;
        for (int64_t c = 0; at >= 0 && at < x->dim[1] && c < group_in; c++)
            sum += (double)x->data[(b * x->dim[1] + at) * x->dim[2] + o / group_out * group_in + c] *
                   weight->data[(o * group_in + c) * kernel + k];
    }
    return sum;
}

static void plain_conv(Tensor *const *leaves, const void *context, double *expected)
{
    const Tensor *x = leaves[0], *weight = leaves[1], *bias = leaves[2];
    const Conv1d *shape = context;
    int64_t reach = or_one(shape->dilation) * (weight->dim[2] - 1) + 1;
    int64_t steps = (x->dim[1] + 2 * shape->padding - reach) / or_one(shape->stride) + 1;
    for (int64_t b = 0; b < x->dim[0]; b++)
        for (int64_t t = 0; t < steps; t++)
            for (int64_t o = 0; o < weight->dim[0]; o++)
                expected[(b * steps + t) * weight->dim[0] + o] =
                    plain_conv_at(x, weight, shape, b, t, o) + (bias ? bias->data[o] : 0);
}

typedef struct ConvCase {
    const char *name;
    int64_t time, channels, outputs, kernel;
    Conv1d shape;
    bool with_bias;
} ConvCase;

// Each of the ways through op_conv1d: products over overlapping rows, copied rows, groups; edges that the
// stride does not reach; more padding than data.
static const ConvCase CONVOLUTIONS[] = {
    {"plain", 9, 3, 5, 3, {0}, true},
    {"ECAPA's first layer", 11, 10, 6, 5, {.padding = 2}, true},
    {"Res2Net slice, dilation 2", 12, 8, 8, 3, {.padding = 2, .dilation = 2}, true},
    {"Res2Net slice, dilation 4", 9, 8, 8, 3, {.padding = 4, .dilation = 4}, true},
    {"WavLM's first layer", 47, 1, 6, 10, {.stride = 5}, false},
    {"WavLM's middle layer", 20, 4, 6, 3, {.stride = 2}, false},
    {"WavLM's last layer", 21, 4, 6, 2, {.stride = 2}, false},
    {"stride beyond kernel", 23, 3, 4, 2, {.stride = 3}, true},
    {"stride, padding and dilation", 17, 2, 3, 4, {.stride = 2, .padding = 3, .dilation = 3}, true},
    {"positional, even kernel, groups", 6, 12, 8, 8, {.padding = 4, .groups = 4}, true},
    {"depthwise", 8, 6, 6, 3, {.padding = 1, .groups = 6}, false},
    {"grouped with stride", 15, 6, 4, 3, {.stride = 2, .groups = 2}, true},
    {"kernel 1", 7, 5, 4, 1, {0}, true},
    {"one output frame", 5, 4, 3, 5, {0}, true},
};

static void test_conv1d(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CONVOLUTIONS / sizeof CONVOLUTIONS[0]; i++) {
        const ConvCase *conv = &CONVOLUTIONS[i];
        OperatorCase c = {.name = conv->name,
                          .build = build_conv,
                          .reference = plain_conv,
                          .context = &conv->shape,
                          .dims = {{2, conv->time, conv->channels},
                                   {conv->outputs, conv->channels / or_one(conv->shape.groups), conv->kernel},
                                   {conv->with_bias ? conv->outputs : 0}}};
        operator_check(&c);
        c.no_grad_0 = true;
        operator_check(&c);
    }
}

// --- weight norm

static Tensor *build_weight_norm(Tape *tape, Tensor *const *leaves, const void *context)
{
    return op_weight_norm(tape, leaves[0], leaves[1], *(const int *)context);
}

static void plain_weight_norm(Tensor *const *leaves, const void *context, double *expected)
{
    const Tensor *v = leaves[0], *gain = leaves[1];
    int dim = *(const int *)context;
    int64_t behind = 1;
    for (int d = dim + 1; d < v->n_dims; d++)
        behind *= v->dim[d];
    for (int64_t k = 0; k < v->dim[dim]; k++) {
        double squares = 0;
        for (int64_t i = 0; i < tensor_size(v); i++)
            if (i / behind % v->dim[dim] == k)
                squares += (double)v->data[i] * v->data[i];
        for (int64_t i = 0; i < tensor_size(v); i++)
            if (i / behind % v->dim[dim] == k)
                expected[i] = gain->data[k] * v->data[i] / sqrt(squares);
    }
}

static void test_weight_norm(void **state)
{
    (void)state;
    operator_check(&(OperatorCase){.name = "weight norm of a linear layer",
                                   .build = build_weight_norm,
                                   .reference = plain_weight_norm,
                                   .context = &(int){0},
                                   .dims = {{33, 20}, {33, 1}}});
    operator_check(&(OperatorCase){.name = "weight norm per kernel position",
                                   .build = build_weight_norm,
                                   .reference = plain_weight_norm,
                                   .context = &(int){2},
                                   .dims = {{6, 5, 8}, {1, 1, 8}}});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_conv1d),
        cmocka_unit_test(test_weight_norm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
