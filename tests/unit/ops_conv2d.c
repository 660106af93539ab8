// Two-dimensional and depthwise convolution, Swish, and the exchange of the last dimensions, against plain
// loops and central differences.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "gradcheck.h"
#include "tensor/ops.h"

static Tensor *build_conv2d(Tape *tape, Tensor *const *leaves, const void *context)
{
    return op_conv2d(tape, leaves[0], leaves[1], leaves[2], *(const Conv2d *)context);
}

// x [B, T, F, I], weight [O, I, KF, KT] or [O, I, KT, KF].
static void plain_conv2d(Tensor *const *leaves, const void *context, double *expected)
{
    const Conv2d *shape = context;
    const Tensor *x = leaves[0], *weight = leaves[1], *bias = leaves[2];
    int64_t stride = shape->stride ? shape->stride : 1, padding = shape->padding;
    int64_t kf = weight->dim[shape->time_first ? 3 : 2], kt = weight->dim[shape->time_first ? 2 : 3];
    int64_t steps = (x->dim[1] + 2 * padding - kt) / stride + 1,
            bins = (x->dim[2] + 2 * padding - kf) / stride + 1;
    int64_t n_in = x->dim[3], n_out = weight->dim[0];
    for (int64_t b = 0; b < x->dim[0]; b++)
        for (int64_t t = 0; t < steps; t++)
            for (int64_t f = 0; f < bins; f++)
                for (int64_t o = 0; o < n_out; o++) {
                    double sum = bias ? bias->data[o] : 0;
                    for (int64_t i = 0; i < n_in; i++)
                        for (int64_t q = 0; q < kt; q++)
                            for (int64_t p = 0; p < kf; p++) {
                                int64_t at = t * stride + q - padding, bin = f * stride + p - padding;
                                if (at < 0 || at >= x->dim[1] || bin < 0 || bin >= x->dim[2])
                                    continue;
                                int64_t tap = shape->time_first ? q * kf + p : p * kt + q;
                                sum += (double)x->data[((b * x->dim[1] + at) * x->dim[2] + bin) * n_in + i] *
                                       weight->data[(o * n_in + i) * kt * kf + tap];
                            }
                    expected[((b * steps + t) * bins + f) * n_out + o] = sum;
                }
}

static void check_conv2d(const char *name, Conv2d shape, const int64_t dims[3][4])
{
    OperatorCase c = {.name = name, .build = build_conv2d, .reference = plain_conv2d, .context = &shape};
    for (int leaf = 0; leaf < 3; leaf++)
        for (int d = 0; d < 4; d++)
            c.dims[leaf][d] = dims[leaf][d];
    operator_check(&c);
}

static void test_conv2d(void **state)
{
    (void)state;
    check_conv2d("conv2d", (Conv2d){.padding = 1}, (int64_t[3][4]){{2, 5, 4, 3}, {2, 3, 3, 3}, {2}});
    check_conv2d("conv2d by strides", (Conv2d){.stride = 2, .padding = 1},
                 (int64_t[3][4]){{2, 6, 7, 2}, {3, 2, 3, 3}, {3}});
    check_conv2d("conv2d, kernel 1 by strides", (Conv2d){.stride = 2},
                 (int64_t[3][4]){{3, 5, 6, 2}, {4, 2, 1, 1}, {4}});
    check_conv2d("conv2d, oblong kernel", (Conv2d){.stride = 2},
                 (int64_t[3][4]){{2, 9, 6, 1}, {2, 1, 2, 4}, {2}});
    check_conv2d("conv2d, oblong kernel, time first", (Conv2d){.stride = 2, .time_first = true},
                 (int64_t[3][4]){{2, 9, 6, 1}, {2, 1, 4, 2}, {2}});
}

// More patches than a block holds.
static void test_blocks_of_conv2d(void **state)
{
    (void)state;
    Rng rng = rng_stream(test_seed(), "blocks", 0, 0);
    Conv2d shape = {.padding = 1};
    Tensor *leaves[3] = {leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){2, 90, 20, 16}, 0),
                         leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){2, 16, 3, 3}, 0), NULL};
    static double expected[2 * 90 * 20 * 2];
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *y = build_conv2d(tape, leaves, &shape);
    plain_conv2d(leaves, &shape, expected);
    assert_int_equal(tensor_size(y), 2 * 90 * 20 * 2);
    for (int64_t i = 0; i < tensor_size(y); i++)
        assert_true(fabs(y->data[i] - expected[i]) < 1e-3);
    tape_destroy(tape);
    leaf_destroy(leaves[0]);
    leaf_destroy(leaves[1]);
}

static Tensor *build_depthwise(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_depthwise_conv1d(tape, leaves[0], leaves[1], leaves[2]);
}

static void plain_depthwise(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    const Tensor *x = leaves[0], *weight = leaves[1];
    int64_t time = x->dim[1], channels = x->dim[2], kernel = weight->dim[2];
    for (int64_t b = 0; b < x->dim[0]; b++)
        for (int64_t t = 0; t < time; t++)
            for (int64_t c = 0; c < channels; c++) {
                double sum = leaves[2]->data[c];
                for (int64_t k = 0; k < kernel; k++) {
                    int64_t s = t + k - kernel / 2;
                    if (s >= 0 && s < time)
                        sum += (double)x->data[(b * time + s) * channels + c] * weight->data[c * kernel + k];
                }
                expected[(b * time + t) * channels + c] = sum;
            }
}

static Tensor *build_swish(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_swish(tape, leaves[0]);
}

static void plain_swish(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    for (int64_t i = 0; i < tensor_size(leaves[0]); i++)
        expected[i] = leaves[0]->data[i] / (1 + exp(-(double)leaves[0]->data[i]));
}

static Tensor *build_swap(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_swap_last(tape, leaves[0]);
}

static void plain_swap(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    for (int i = 0; i < 2 * 3; i++)
        for (int r = 0; r < 4; r++)
            for (int c = 0; c < 5; c++)
                expected[(i * 5 + c) * 4 + r] = leaves[0]->data[(i * 4 + r) * 5 + c];
}

static void test_others(void **state)
{
    (void)state;
    operator_check(&(OperatorCase){.name = "depthwise convolution",
                                   .build = build_depthwise,
                                   .reference = plain_depthwise,
                                   .dims = {{2, 7, 3}, {3, 1, 5}, {3}}});
    operator_check(&(OperatorCase){.name = "depthwise convolution, kernel longer than the input",
                                   .build = build_depthwise,
                                   .reference = plain_depthwise,
                                   .dims = {{2, 3, 4}, {4, 1, 9}, {4}}});
    operator_check(
        &(OperatorCase){.name = "swish", .build = build_swish, .reference = plain_swish, .dims = {{3, 17}}});
    operator_check(&(OperatorCase){
        .name = "swap_last", .build = build_swap, .reference = plain_swap, .dims = {{2, 3, 4, 5}}});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_conv2d), cmocka_unit_test(test_blocks_of_conv2d),
                                       cmocka_unit_test(test_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
