// Statistics over time: x [B, T, C] -> [B, ...]. Sums in double, one block of channels a thread.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "tensor/ops.h"
#include "tensor/rows.h"
#include "tensor/vecmath.h"

enum { BLOCK = 16 };

// Runs body for each (batch item, block of channels): b, from, width.
typedef struct Place {
    int64_t b, from, width;
} Place;

static int64_t n_places(const Tensor *x)
{
    return x->dim[0] * ((x->dim[2] + BLOCK - 1) / BLOCK);
}

static Place place_at(const Tensor *x, int64_t index)
{
    int64_t blocks = (x->dim[2] + BLOCK - 1) / BLOCK, from = index % blocks * BLOCK;
    int64_t rest = x->dim[2] - from;
    return (Place){index / blocks, from, rest < BLOCK ? rest : BLOCK};
}

static const float *rows_of(const Tensor *x, const float *data, Place p)
{
    return data + p.b * x->dim[1] * x->dim[2] + p.from;
}

// --- mean

static void mean_time_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0];
    int64_t time = x->dim[1], cols = x->dim[2];
    float *d_x = tape_grad(tape, x), scale = 1.0f / (float)time;
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t r = 0; r < x->dim[0] * time; r++)
#pragma omp simd
        for (int64_t c = 0; c < cols; c++)
            d_x[r * cols + c] += scale * node->output->grad[r / time * cols + c];
}

static const Operator MEAN_TIME = {"mean_time", mean_time_backward};

Tensor *op_mean_time(Tape *tape, Tensor *x)
{
    int64_t time = x->dim[1], cols = x->dim[2];
    Tensor *y = tape_tensor(tape, 2, (int64_t[]){x->dim[0], cols});
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t i = 0; i < n_places(x); i++) {
        Place p = place_at(x, i);
        const float *in = rows_of(x, x->data, p);
        double sums[BLOCK] = {0};
        for (int64_t t = 0; t < time; t++)
            for (int64_t c = 0; c < p.width; c++)
                sums[c] += in[t * cols + c];
        for (int64_t c = 0; c < p.width; c++)
            y->data[p.b * cols + p.from + c] = (float)(sums[c] / (double)time);
    }
    tape_record(tape, &MEAN_TIME, y, &x, 1, NULL);
    return y;
}

// --- mean and standard deviation

// d std / d x_t = (x_t - mean) / (divisor std)
static void mean_std_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0];
    int64_t time = x->dim[1], cols = x->dim[2];
    float divisor = *(const float *)node->context, *d_x = tape_grad(tape, x);
    const float *y = node->output->data, *d_y = node->output->grad;
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t i = 0; i < n_places(x); i++) {
        Place p = place_at(x, i);
        const float *in = rows_of(x, x->data, p);
        float *out = (float *)rows_of(x, d_x, p);
        int64_t at = p.b * 2 * cols + p.from;
        for (int64_t t = 0; t < time; t++)
            for (int64_t c = 0; c < p.width; c++)
                out[t * cols + c] += d_y[at + c] / (float)time + d_y[at + cols + c] *
                                                                     (in[t * cols + c] - y[at + c]) /
                                                                     (divisor * y[at + cols + c]);
    }
}

static const Operator MEAN_STD_TIME = {"mean_std_time", mean_std_backward};

Tensor *op_mean_std_time(Tape *tape, Tensor *x, bool unbiased, float epsilon)
{
    int64_t time = x->dim[1], cols = x->dim[2];
    Tensor *y = tape_tensor(tape, 2, (int64_t[]){x->dim[0], 2 * cols});
    float *divisor = tape_scratch(tape, sizeof *divisor);
    *divisor = (float)(unbiased && time > 1 ? time - 1 : time);
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t i = 0; i < n_places(x); i++) {
        Place p = place_at(x, i);
        const float *in = rows_of(x, x->data, p);
        double sums[BLOCK] = {0}, squares[BLOCK] = {0};
        for (int64_t t = 0; t < time; t++)
            for (int64_t c = 0; c < p.width; c++)
                sums[c] += in[t * cols + c];
        for (int64_t c = 0; c < p.width; c++)
            sums[c] /= (double)time;
        for (int64_t t = 0; t < time; t++)
            for (int64_t c = 0; c < p.width; c++)
                squares[c] += (in[t * cols + c] - sums[c]) * (in[t * cols + c] - sums[c]);
        float *out = y->data + p.b * 2 * cols + p.from;
        for (int64_t c = 0; c < p.width; c++) {
            out[c] = (float)sums[c];
            out[cols + c] = (float)sqrt(squares[c] / *divisor + epsilon);
        }
    }
    tape_record(tape, &MEAN_STD_TIME, y, &x, 1, divisor);
    return y;
}

// --- per-channel scale and shift

static void scale_channels_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0], *scale = node->inputs[1];
    int64_t time = x->dim[1], cols = x->dim[2];
    const float *d_y = node->output->grad;
    bool fresh;
    float *d_x = tape_grad_fresh(tape, x, &fresh), *d_scale = tape_grad(tape, scale);
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t i = 0; i < n_places(x); i++) {
        Place p = place_at(x, i);
        const float *in = rows_of(x, x->data, p), *grad = rows_of(x, d_y, p);
        float *out = d_x ? (float *)rows_of(x, d_x, p) : NULL;
        const float *factor = scale->data + p.b * cols + p.from;
        double sums[BLOCK] = {0};
        for (int64_t t = 0; t < time; t++)
            for (int64_t c = 0; c < p.width; c++)
                sums[c] += grad[t * cols + c] * in[t * cols + c];
        for (int64_t t = 0; out && t < time; t++)
            for (int64_t c = 0; c < p.width; c++)
                grad_put(&out[t * cols + c], grad[t * cols + c] * factor[c], fresh);
        for (int64_t c = 0; d_scale && c < p.width; c++)
            d_scale[p.b * cols + p.from + c] += (float)sums[c];
    }
}

static const Operator SCALE_CHANNELS = {"scale_channels", scale_channels_backward};

Tensor *op_scale_channels(Tape *tape, Tensor *x, Tensor *scale)
{
    int64_t time = x->dim[1], cols = x->dim[2];
    assert(tensor_size(scale) == x->dim[0] * cols);
    Tensor *y = tape_tensor_like(tape, x);
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t r = 0; r < x->dim[0] * time; r++)
        for (int64_t c = 0; c < cols; c++)
            y->data[r * cols + c] = x->data[r * cols + c] * scale->data[r / time * cols + c];
    tape_record(tape, &SCALE_CHANNELS, y, (Tensor *[]){x, scale}, 2, NULL);
    return y;
}

static void add_channels_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0];
    int64_t time = x->dim[1], cols = x->dim[2];
    const float *d_y = node->output->grad;
    bool fresh;
    float *d_x = tape_grad_fresh(tape, x, &fresh), *d_shift = tape_grad(tape, node->inputs[1]);
    if (d_x)
        (fresh ? rows_copy : rows_add)(d_x, cols, d_y, cols, x->dim[0] * time, cols);
    for (int64_t b = 0; d_shift && b < x->dim[0]; b++)
        rows_sum(d_shift + b * cols, d_y + b * time * cols, time, cols);
}

static const Operator ADD_CHANNELS = {"add_channels", add_channels_backward};

Tensor *op_add_channels(Tape *tape, Tensor *x, Tensor *shift)
{
    int64_t time = x->dim[1], cols = x->dim[2];
    assert(tensor_size(shift) == x->dim[0] * cols);
    Tensor *y = tape_tensor_like(tape, x);
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t r = 0; r < x->dim[0] * time; r++)
        for (int64_t c = 0; c < cols; c++)
            y->data[r * cols + c] = x->data[r * cols + c] + shift->data[r / time * cols + c];
    tape_record(tape, &ADD_CHANNELS, y, (Tensor *[]){x, shift}, 2, NULL);
    return y;
}

// --- softmax over time

// d_x_t = y_t (d_y_t - sum_s d_y_s y_s)
static void softmax_time_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0];
    int64_t time = x->dim[1], cols = x->dim[2];
    bool fresh;
    float *d_x = tape_grad_fresh(tape, x, &fresh);
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t i = 0; i < n_places(x); i++) {
        Place p = place_at(x, i);
        const float *y = rows_of(x, node->output->data, p), *d_y = rows_of(x, node->output->grad, p);
        float *out = (float *)rows_of(x, d_x, p);
        double dots[BLOCK] = {0};
        for (int64_t t = 0; t < time; t++)
            for (int64_t c = 0; c < p.width; c++)
                dots[c] += d_y[t * cols + c] * y[t * cols + c];
        for (int64_t t = 0; t < time; t++)
            for (int64_t c = 0; c < p.width; c++)
                grad_put(&out[t * cols + c], y[t * cols + c] * (d_y[t * cols + c] - (float)dots[c]), fresh);
    }
}

static const Operator SOFTMAX_TIME = {"softmax_time", softmax_time_backward};

Tensor *op_softmax_time(Tape *tape, Tensor *x)
{
    int64_t time = x->dim[1], cols = x->dim[2];
    Tensor *y = tape_tensor_like(tape, x);
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t i = 0; i < n_places(x); i++) {
        Place p = place_at(x, i);
        const float *in = rows_of(x, x->data, p);
        float *out = (float *)rows_of(x, y->data, p), largest[BLOCK];
        double sums[BLOCK] = {0};
        memcpy(largest, in, (size_t)p.width * sizeof(float));
        for (int64_t t = 1; t < time; t++)
            for (int64_t c = 0; c < p.width; c++)
                largest[c] = in[t * cols + c] > largest[c] ? in[t * cols + c] : largest[c];
        for (int64_t t = 0; t < time; t++)
            for (int64_t c = 0; c < p.width; c++) {
                out[t * cols + c] = fast_exp(in[t * cols + c] - largest[c]);
                sums[c] += out[t * cols + c];
            }
        for (int64_t t = 0; t < time; t++)
            for (int64_t c = 0; c < p.width; c++)
                out[t * cols + c] /= (float)sums[c];
    }
    tape_record(tape, &SOFTMAX_TIME, y, &x, 1, NULL);
    return y;
}

// --- weighted mean and standard deviation (attentive statistics pooling, Okabe et al. 2018)

// std^2 = sum w x^2 - mean^2, so with g = d_std / (2 std), zero at the floor:
// d_x = w (d_mean + 2 g (x - mean)),  d_w = d_mean x + g (x^2 - 2 mean x)
static void weighted_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0], *weights = node->inputs[1];
    int64_t time = x->dim[1], cols = x->dim[2];
    bool fresh_x, fresh_w;
    float floor_std = *(const float *)node->context;
    float *d_x = tape_grad_fresh(tape, x, &fresh_x), *d_w = tape_grad_fresh(tape, weights, &fresh_w);
    const float *y = node->output->data, *d_y = node->output->grad;
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t i = 0; i < n_places(x); i++) {
        Place p = place_at(x, i);
        const float *in = rows_of(x, x->data, p), *w = rows_of(x, weights->data, p);
        int64_t at = p.b * 2 * cols + p.from;
        float slope[BLOCK];
        for (int64_t c = 0; c < p.width; c++)
            slope[c] = y[at + cols + c] > floor_std ? d_y[at + cols + c] / (2 * y[at + cols + c]) : 0;
        for (int64_t t = 0; t < time; t++)
            for (int64_t c = 0; c < p.width; c++) {
                int64_t j = t * cols + c;
                float mean = y[at + c], d_mean = d_y[at + c];
                if (d_x)
                    grad_put((float *)rows_of(x, d_x, p) + j, w[j] * (d_mean + 2 * slope[c] * (in[j] - mean)),
                             fresh_x);
                if (d_w)
                    grad_put((float *)rows_of(x, d_w, p) + j,
                             d_mean * in[j] + slope[c] * in[j] * (in[j] - 2 * mean), fresh_w);
            }
    }
}

static const Operator WEIGHTED_MEAN_STD = {"weighted_mean_std", weighted_backward};

Tensor *op_weighted_mean_std(Tape *tape, Tensor *x, Tensor *weights, float variance_floor)
{
    int64_t time = x->dim[1], cols = x->dim[2];
    assert(tensor_size(weights) == tensor_size(x));
    Tensor *y = tape_tensor(tape, 2, (int64_t[]){x->dim[0], 2 * cols});
    float *floor_std = tape_scratch(tape, sizeof *floor_std);
    *floor_std = sqrtf(variance_floor);
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t i = 0; i < n_places(x); i++) {
        Place p = place_at(x, i);
        const float *in = rows_of(x, x->data, p), *w = rows_of(x, weights->data, p);
        double sums[BLOCK] = {0}, squares[BLOCK] = {0};
        for (int64_t t = 0; t < time; t++)
            for (int64_t c = 0; c < p.width; c++) {
                double value = in[t * cols + c], weighted = w[t * cols + c] * value;
                sums[c] += weighted;
                squares[c] += weighted * value;
            }
        float *out = y->data + p.b * 2 * cols + p.from;
        for (int64_t c = 0; c < p.width; c++) {
            double variance = squares[c] - sums[c] * sums[c];
            out[c] = (float)sums[c];
            out[cols + c] = variance > variance_floor ? (float)sqrt(variance) : *floor_std;
        }
    }
    tape_record(tape, &WEIGHTED_MEAN_STD, y, (Tensor *[]){x, weights}, 2, floor_std);
    return y;
}
