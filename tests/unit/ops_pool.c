// Statistics over time, per-channel scale and shift, views and copies: against plain loops and central
// differences.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "gradcheck.h"
#include "tensor/ops.h"

// x[b, t, c] of a time series, [B, T, C]
static double at(const Tensor *x, int64_t b, int64_t t, int64_t c)
{
    return x->data[(b * x->dim[1] + t) * x->dim[2] + c];
}

// --- mean and deviation

static Tensor *build_mean(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_mean_time(tape, leaves[0]);
}

static void plain_mean(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    const Tensor *x = leaves[0];
    for (int64_t b = 0; b < x->dim[0]; b++)
        for (int64_t c = 0; c < x->dim[2]; c++)
            for (int64_t t = 0; t < x->dim[1]; t++)
                expected[b * x->dim[2] + c] += at(x, b, t, c) / (double)x->dim[1];
}

static const float EPSILON = 1e-3f;

static Tensor *build_mean_std(Tape *tape, Tensor *const *leaves, const void *context)
{
    return op_mean_std_time(tape, leaves[0], *(const bool *)context, EPSILON);
}

static void plain_mean_std(Tensor *const *leaves, const void *context, double *expected)
{
    const Tensor *x = leaves[0];
    int64_t time = x->dim[1], cols = x->dim[2];
    double divisor = (double)(*(const bool *)context ? time - 1 : time);
    for (int64_t b = 0; b < x->dim[0]; b++)
        for (int64_t c = 0; c < cols; c++) {
            double mean = 0, variance = 0;
            for (int64_t t = 0; t < time; t++)
                mean += at(x, b, t, c) / (double)time;
            for (int64_t t = 0; t < time; t++)
                variance += pow(at(x, b, t, c) - mean, 2) / divisor;
            expected[b * 2 * cols + c] = mean;
            expected[b * 2 * cols + cols + c] = sqrt(variance + EPSILON);
        }
}

static Tensor *build_weighted(Tape *tape, Tensor *const *leaves, const void *context)
{
    return op_weighted_mean_std(tape, leaves[0], op_softmax_time(tape, leaves[1]), *(const float *)context);
}

static void plain_softmax(const Tensor *x, double *weights)
{
    for (int64_t b = 0; b < x->dim[0]; b++)
        for (int64_t c = 0; c < x->dim[2]; c++) {
            double sum = 0;
            for (int64_t t = 0; t < x->dim[1]; t++)
                sum += exp(at(x, b, t, c));
            for (int64_t t = 0; t < x->dim[1]; t++)
                weights[(b * x->dim[1] + t) * x->dim[2] + c] = exp(at(x, b, t, c)) / sum;
        }
}

static void plain_weighted(Tensor *const *leaves, const void *context, double *expected)
{
    const Tensor *x = leaves[0];
    int64_t time = x->dim[1], cols = x->dim[2];
    double weights[4096];
    plain_softmax(leaves[1], weights);
    for (int64_t b = 0; b < x->dim[0]; b++)
        for (int64_t c = 0; c < cols; c++) {
            double mean = 0, squares = 0;
            for (int64_t t = 0; t < time; t++) {
                double weight = weights[(b * time + t) * cols + c];
                mean += weight * at(x, b, t, c);
                squares += weight * pow(at(x, b, t, c), 2);
            }
            expected[b * 2 * cols + c] = mean;
            expected[b * 2 * cols + cols + c] = sqrt(fmax(squares - mean * mean, *(const float *)context));
        }
}

static Tensor *build_softmax(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_softmax_time(tape, leaves[0]);
}

static void plain_softmax_case(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    plain_softmax(leaves[0], expected);
}

static void test_statistics(void **state)
{
    (void)state;
    operator_check(
        &(OperatorCase){.name = "mean", .build = build_mean, .reference = plain_mean, .dims = {{3, 7, 19}}});
    for (int unbiased = 0; unbiased < 2; unbiased++)
        operator_check(&(OperatorCase){.name = "mean and deviation",
                                       .build = build_mean_std,
                                       .reference = plain_mean_std,
                                       .context = &(bool){unbiased},
                                       .dims = {{2, 8, 35}}});
    operator_check(&(OperatorCase){.name = "softmax over time",
                                   .build = build_softmax,
                                   .reference = plain_softmax_case,
                                   .dims = {{2, 6, 17}}});
    OperatorCase weighted = {.name = "weighted mean and deviation",
                             .build = build_weighted,
                             .reference = plain_weighted,
                             .context = &(float){1e-7f},
                             .dims = {{2, 9, 20}, {2, 9, 20}}};
    operator_check(&weighted);
    weighted.no_grad_0 = true;
    operator_check(&weighted);
    weighted.context = &(float){100}; // above every variance: the deviation is the floor, without gradient
    operator_check(&weighted);
}

// --- scale and shift of whole channels

static Tensor *build_scale_channels(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_scale_channels(tape, leaves[0], leaves[1]);
}

static Tensor *build_add_channels(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_add_channels(tape, leaves[0], leaves[1]);
}

static double channel_value(const Tensor *x, const Tensor *per_channel, int64_t index)
{
    int64_t cols = x->dim[2];
    return per_channel->data[index / (x->dim[1] * cols) * cols + index % cols];
}

static void plain_scale_channels(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    for (int64_t i = 0; i < tensor_size(leaves[0]); i++)
        expected[i] = leaves[0]->data[i] * channel_value(leaves[0], leaves[1], i);
}

static void plain_add_channels(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    for (int64_t i = 0; i < tensor_size(leaves[0]); i++)
        expected[i] = leaves[0]->data[i] + channel_value(leaves[0], leaves[1], i);
}

static void test_channels(void **state)
{
    (void)state;
    OperatorCase scale = {.name = "scale channels",
                          .build = build_scale_channels,
                          .reference = plain_scale_channels,
                          .dims = {{3, 5, 18}, {3, 18}}};
    operator_check(&scale);
    scale.no_grad_0 = true;
    operator_check(&scale);
    operator_check(&(OperatorCase){.name = "add channels",
                                   .build = build_add_channels,
                                   .reference = plain_add_channels,
                                   .dims = {{3, 5, 18}, {3, 18}}});
}

// --- views and copies

static Tensor *build_slices(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    Tensor *pieces[3] = {op_slice_last(tape, leaves[0], 5, 3), op_slice_last(tape, leaves[0], 0, 5),
                         leaves[1]};
    return op_concat_last(tape, pieces, 3);
}

static void plain_slices(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    static const int64_t order[] = {5, 6, 7, 0, 1, 2, 3, 4};
    int64_t extra = tensor_cols(leaves[1]), cols = 8 + extra;
    for (int64_t r = 0; r < tensor_rows(leaves[0]); r++) {
        for (int64_t c = 0; c < 8; c++)
            expected[r * cols + c] = leaves[0]->data[r * 8 + order[c]];
        for (int64_t c = 0; c < extra; c++)
            expected[r * cols + 8 + c] = leaves[1]->data[r * extra + c];
    }
}

static Tensor *build_batches(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    Tensor *flat = op_reshape(tape, leaves[0], 2, (int64_t[]){4, 15});
    Tensor *pieces[3] = {op_slice_first(tape, flat, 3, 1), leaves[1], op_slice_first(tape, flat, 0, 2)};
    return op_concat_first(tape, pieces, 3);
}

static void plain_batches(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    for (int64_t i = 0; i < 15; i++) {
        expected[i] = leaves[0]->data[45 + i];
        expected[15 + i] = leaves[1]->data[i];
        expected[30 + i] = leaves[0]->data[i];
        expected[45 + i] = leaves[0]->data[15 + i];
    }
}

static void test_views(void **state)
{
    (void)state;
    operator_check(&(OperatorCase){.name = "slices of channels, side by side",
                                   .build = build_slices,
                                   .reference = plain_slices,
                                   .dims = {{2, 3, 8}, {2, 3, 2}}});
    operator_check(&(OperatorCase){.name = "reshape, slices of the batch, one after the other",
                                   .build = build_batches,
                                   .reference = plain_batches,
                                   .dims = {{2, 6, 5}, {1, 15}}});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
