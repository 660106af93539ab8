// B batch, T time, C channels, K kernel. Channels are neighbours, so the loops over them vectorise.
#include <assert.h>

#include "tensor/ops.h"
#include "tensor/rows.h"

// weight [C, 1, K] -> taps [K, C]
static float *transpose(Tape *tape, const Tensor *weight)
{
    int64_t channels = weight->dim[0], kernel = weight->dim[2];
    float *taps = tape_scratch(tape, (size_t)(channels * kernel) * sizeof(float));
    for (int64_t c = 0; c < channels; c++)
        for (int64_t k = 0; k < kernel; k++)
            taps[k * channels + c] = weight->data[c * kernel + k];
    return taps;
}

static void multiply_add(float *sum, const float *a, const float *b, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        sum[i] += a[i] * b[i];
}

// d_x[s] = sum over k of taps[k] d_y[s - k + K / 2]
static void add_input_grad(const Tensor *y, const float *taps, int64_t kernel, float *d_x)
{
    int64_t batch = y->dim[0], time = y->dim[1], channels = y->dim[2];
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < batch; b++)
        for (int64_t t = 0; t < time; t++)
            for (int64_t k = 0; k < kernel; k++) {
                int64_t s = t + k - kernel / 2;
                if (s >= 0 && s < time)
                    multiply_add(d_x + (b * time + s) * channels, taps + k * channels,
                                 y->grad + (b * time + t) * channels, channels);
            }
}

// A tap's gradient belongs to one thread, so the sums do not depend on how the work is shared.
static void add_weight_grad(Tape *tape, const Tensor *x, const Tensor *y, int64_t kernel, float *d_weight)
{
    int64_t batch = y->dim[0], time = y->dim[1], channels = y->dim[2];
    float *sums = tape_scratch(tape, (size_t)(kernel * channels) * sizeof(float));
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < kernel; k++) {
        float *sum = sums + k * channels;
        for (int64_t c = 0; c < channels; c++)
            sum[c] = 0;
        for (int64_t b = 0; b < batch; b++)
            for (int64_t t = 0; t < time; t++) {
                int64_t s = t + k - kernel / 2;
                if (s >= 0 && s < time)
                    multiply_add(sum, x->data + (b * time + s) * channels,
                                 y->grad + (b * time + t) * channels, channels);
            }
        for (int64_t c = 0; c < channels; c++)
            d_weight[c * kernel + k] += sum[c];
    }
}

static void depthwise_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0], *weight = node->inputs[1], *y = node->output;
    float *d_x = tape_grad(tape, x), *d_weight = tape_grad(tape, weight),
          *d_bias = tape_grad(tape, node->inputs[2]);
    TapeMark mark = tape_scratch_begin(tape);
    if (d_x)
        add_input_grad(y, transpose(tape, weight), weight->dim[2], d_x);
    if (d_weight)
        add_weight_grad(tape, x, y, weight->dim[2], d_weight);
    if (d_bias)
        rows_sum(d_bias, y->grad, tensor_rows(y), tensor_cols(y));
    tape_scratch_end(tape, mark);
}

static const Operator depthwise = {"depthwise_conv1d", depthwise_backward};

Tensor *op_depthwise_conv1d(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias)
{
    int64_t batch = x->dim[0], time = x->dim[1], channels = x->dim[2], kernel = weight->dim[2];
    assert(weight->dim[0] == channels && weight->dim[1] == 1 && kernel % 2 == 1);
    Tensor *y = tape_tensor_like(tape, x);
    TapeMark mark = tape_scratch_begin(tape);
    const float *taps = transpose(tape, weight);
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < batch; b++)
        for (int64_t t = 0; t < time; t++) {
            float *sum = y->data + (b * time + t) * channels;
            for (int64_t c = 0; c < channels; c++)
                sum[c] = bias->data[c];
            for (int64_t k = 0; k < kernel; k++) {
                int64_t s = t + k - kernel / 2;
                if (s >= 0 && s < time)
                    multiply_add(sum, taps + k * channels, x->data + (b * time + s) * channels, channels);
            }
        }
    tape_scratch_end(tape, mark);
    tape_record(tape, &depthwise, y, (Tensor *[]){x, weight, bias}, 3, NULL);
    return y;
}
