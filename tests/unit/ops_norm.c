// Norms against plain loops and central differences; running statistics; constant rows.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "gradcheck.h"
#include "tensor/ops.h"

enum { MAX_CHANNELS = 64 };
static const float EPSILON = 1e-3f;

// --- batch norm

typedef struct BatchCase {
    bool training, relu_first;
} BatchCase;

// Running statistics are the evaluation's input and the training's output: each build starts from the same.
static void start_statistics(float *mean, float *variance, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++) {
        mean[c] = 0.25f * (float)c - 1;
        variance[c] = 0.5f + 0.125f * (float)c;
    }
}

static Tensor *build_batch_norm(Tape *tape, Tensor *const *leaves, const void *context)
{
    const BatchCase *batch = context;
    static float mean[MAX_CHANNELS], variance[MAX_CHANNELS];
    start_statistics(mean, variance, tensor_cols(leaves[0]));
    BatchNorm norm = {leaves[1], leaves[2], mean, variance, 0.1f, EPSILON};
    return op_batch_norm(tape, leaves[0], &norm, batch->training, batch->relu_first);
}

static double value_at(const Tensor *x, int64_t index, bool relu_first)
{
    double value = x->data[index];
    return relu_first && value < 0 ? 0 : value;
}

static void column_moments(const Tensor *x, int64_t c, bool relu_first, double *mean, double *variance)
{
    int64_t rows = tensor_rows(x), cols = tensor_cols(x);
    *mean = *variance = 0;
    for (int64_t r = 0; r < rows; r++)
        *mean += value_at(x, r * cols + c, relu_first) / (double)rows;
    for (int64_t r = 0; r < rows; r++)
        *variance += pow(value_at(x, r * cols + c, relu_first) - *mean, 2) / (double)rows;
}

static void plain_batch_norm(Tensor *const *leaves, const void *context, double *expected)
{
    const BatchCase *batch = context;
    const Tensor *x = leaves[0];
    int64_t rows = tensor_rows(x), cols = tensor_cols(x);
    float running_mean[MAX_CHANNELS], running_variance[MAX_CHANNELS];
    start_statistics(running_mean, running_variance, cols);
    for (int64_t c = 0; c < cols; c++) {
        double mean = running_mean[c], variance = running_variance[c];
        if (batch->training)
            column_moments(x, c, batch->relu_first, &mean, &variance);
        for (int64_t r = 0; r < rows; r++)
            expected[r * cols + c] = (value_at(x, r * cols + c, batch->relu_first) - mean) /
                                         sqrt(variance + EPSILON) * leaves[1]->data[c] +
                                     leaves[2]->data[c];
    }
}

static void test_batch_norm(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        BatchCase batch = {variant & 1, variant & 2};
        OperatorCase c = {.name = "batch norm",
                          .build = build_batch_norm,
                          .reference = plain_batch_norm,
                          .context = &batch,
                          .dims = {{3, 7, 19}, {19}, {19}},
                          .gap = batch.relu_first ? 0.25f : 0};
        operator_check(&c);
        c.no_grad_0 = true;
        operator_check(&c);
        operator_check(&(OperatorCase){.name = "batch norm of vectors",
                                       .build = build_batch_norm,
                                       .reference = plain_batch_norm,
                                       .context = &batch,
                                       .dims = {{40, 48}, {48}, {48}},
                                       .gap = batch.relu_first ? 0.25f : 0});
    }
}

// PyTorch's rule: running += momentum (batch - running), with the unbiased variance; evaluation changes
// nothing.
static void test_running_statistics(void **state)
{
    (void)state;
    enum { ROWS = 11, COLS = 5 };
    Rng rng = rng_stream(test_seed(), "running statistics", 0, 0);
    Tensor *x = leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){ROWS, COLS}, 0);
    Tensor *weight = leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){COLS}, 0);
    float mean[COLS], variance[COLS], before_mean[COLS], before_variance[COLS];
    start_statistics(mean, variance, COLS);
    start_statistics(before_mean, before_variance, COLS);
    BatchNorm norm = {weight, weight, mean, variance, 0.1f, EPSILON};
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    op_batch_norm(tape, x, &norm, false, true);
    assert_memory_equal(mean, before_mean, sizeof mean);
    assert_memory_equal(variance, before_variance, sizeof variance);
    op_batch_norm(tape, x, &norm, true, true);
    for (int64_t c = 0; c < COLS; c++) {
        double batch_mean, batch_variance;
        column_moments(x, c, true, &batch_mean, &batch_variance);
        double unbiased = batch_variance * ROWS / (ROWS - 1);
        assert_true(fabs(mean[c] - (0.9 * before_mean[c] + 0.1 * batch_mean)) < 1e-6);
        assert_true(fabs(variance[c] - (0.9 * before_variance[c] + 0.1 * unbiased)) < 1e-6);
    }
    tape_destroy(tape);
    leaf_destroy(weight);
    leaf_destroy(x);
}

// --- layer and instance norm

static Tensor *build_layer_norm(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_layer_norm(tape, leaves[0], leaves[1], leaves[2], EPSILON);
}

// y = (x - mean) / sqrt(variance + epsilon), over n values that lie `stride` apart
static void normalise(const float *x, int64_t n, int64_t stride, double *y)
{
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < n; i++)
        mean += x[i * stride] / (double)n;
    for (int64_t i = 0; i < n; i++)
        variance += pow(x[i * stride] - mean, 2) / (double)n;
    for (int64_t i = 0; i < n; i++)
        y[i * stride] = (x[i * stride] - mean) / sqrt(variance + EPSILON);
}

static void scale_and_shift(Tensor *const *leaves, double *y)
{
    int64_t cols = tensor_cols(leaves[0]);
    for (int64_t i = 0; i < tensor_size(leaves[0]); i++)
        y[i] = y[i] * leaves[1]->data[i % cols] + leaves[2]->data[i % cols];
}

static void plain_layer_norm(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    int64_t cols = tensor_cols(leaves[0]);
    for (int64_t r = 0; r < tensor_rows(leaves[0]); r++)
        normalise(leaves[0]->data + r * cols, cols, 1, expected + r * cols);
    scale_and_shift(leaves, expected);
}

static Tensor *build_instance_norm(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_instance_norm(tape, leaves[0], leaves[1], leaves[2], EPSILON);
}

static void plain_instance_norm(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    int64_t time = leaves[0]->dim[1], cols = leaves[0]->dim[2];
    for (int64_t b = 0; b < leaves[0]->dim[0]; b++)
        for (int64_t c = 0; c < cols; c++)
            normalise(leaves[0]->data + b * time * cols + c, time, cols, expected + b * time * cols + c);
    scale_and_shift(leaves, expected);
}

static void test_layer_and_instance_norm(void **state)
{
    (void)state;
    OperatorCase layer = {.name = "layer norm",
                          .build = build_layer_norm,
                          .reference = plain_layer_norm,
                          .dims = {{3, 5, 37}, {37}, {37}}};
    operator_check(&layer);
    layer.no_grad_0 = true;
    operator_check(&layer);
    OperatorCase instance = {.name = "instance norm",
                             .build = build_instance_norm,
                             .reference = plain_instance_norm,
                             .dims = {{2, 9, 21}, {21}, {21}}};
    operator_check(&instance);
    instance.no_grad_0 = true;
    operator_check(&instance);
}

// --- length normalisation

static Tensor *build_l2(Tape *tape, Tensor *const *leaves, const void *context)
{
    return op_l2_normalize(tape, leaves[0], *(const float *)context);
}

static void plain_l2(Tensor *const *leaves, const void *context, double *expected)
{
    int64_t cols = tensor_cols(leaves[0]);
    for (int64_t r = 0; r < tensor_rows(leaves[0]); r++) {
        double squares = 0;
        for (int64_t c = 0; c < cols; c++)
            squares += pow(leaves[0]->data[r * cols + c], 2);
        for (int64_t c = 0; c < cols; c++)
            expected[r * cols + c] =
                leaves[0]->data[r * cols + c] / fmax(sqrt(squares), *(const float *)context);
    }
}

static void test_l2_normalize(void **state)
{
    (void)state;
    operator_check(&(OperatorCase){.name = "length normalisation",
                                   .build = build_l2,
                                   .reference = plain_l2,
                                   .context = &(float){1e-12f},
                                   .dims = {{6, 23}}});
    // every row is shorter than the floor: y = x / floor
    operator_check(&(OperatorCase){.name = "length normalisation at its floor",
                                   .build = build_l2,
                                   .reference = plain_l2,
                                   .context = &(float){1000},
                                   .dims = {{6, 23}}});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_norm),
        cmocka_unit_test(test_running_statistics),
        cmocka_unit_test(test_layer_and_instance_norm),
        cmocka_unit_test(test_l2_normalize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
