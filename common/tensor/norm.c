// Norms over the rows or columns of a matrix [R, C]. Sums over many values are taken in double.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "tensor/ops.h"
#include "tensor/rows.h"

enum { BLOCK = 16 }; // channels that one thread sums at a time: one cache line

// --- batch norm

typedef struct BatchContext {
    float *mean, *inverse_std; // [C], those that forward used
    bool training, relu_first;
} BatchContext;

static inline float input_value(float x, bool relu_first)
{
    return relu_first && x < 0 ? 0 : x;
}

// Block functions are called with a constant width where a block is whole, so that its sums stay in
// registers.
#define BLOCK_INLINE static inline __attribute__((always_inline))

// Batch mean and biased variance of a block of channels.
BLOCK_INLINE void sum_moments(const float *x, int64_t rows, int64_t cols, int64_t width, bool relu_first,
                              double *mean, double *variance)
{
    double sums[BLOCK] = {0}, squares[BLOCK] = {0};
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < width; c++)
            sums[c] += input_value(x[r * cols + c], relu_first);
    for (int64_t c = 0; c < width; c++)
        mean[c] = sums[c] / (double)rows;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < width; c++) {
            double centred = input_value(x[r * cols + c], relu_first) - mean[c];
            squares[c] += centred * centred;
        }
    for (int64_t c = 0; c < width; c++)
        variance[c] = squares[c] / (double)rows;
}

static void block_moments(const float *x, int64_t rows, int64_t cols, int64_t width, bool relu_first,
                          double *mean, double *variance)
{
    if (width == BLOCK)
        sum_moments(x, rows, cols, BLOCK, relu_first, mean, variance);
    else
        sum_moments(x, rows, cols, width, relu_first, mean, variance);
}

static void batch_statistics(const BatchNorm *norm, const Tensor *x, BatchContext *context)
{
    int64_t rows = tensor_rows(x), cols = tensor_cols(x);
    double unbiased = rows > 1 ? (double)rows / (double)(rows - 1) : 1;
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t from = 0; from < cols; from += BLOCK) {
        int64_t width = cols - from < BLOCK ? cols - from : BLOCK;
        double mean[BLOCK], variance[BLOCK];
        block_moments(x->data + from, rows, cols, width, context->relu_first, mean, variance);
        for (int64_t c = 0; c < width; c++) {
            float *running_mean = &norm->running_mean[from + c],
                  *running_variance = &norm->running_variance[from + c];
            *running_mean += norm->momentum * ((float)mean[c] - *running_mean);
            *running_variance += norm->momentum * ((float)(variance[c] * unbiased) - *running_variance);
            context->mean[from + c] = (float)mean[c];
            context->inverse_std[from + c] = (float)(1 / sqrt(variance[c] + norm->epsilon));
        }
    }
}

// A block of channels in backward: pointers to its first channel, rows `cols` apart.
typedef struct BatchBlock {
    const float *x, *d_y, *mean, *inverse_std, *weight;
    float *d_x, *d_weight, *d_bias; // NULL: not wanted
    int64_t rows, cols;
    bool training, relu_first, fresh;
} BatchBlock;

// With xh = (x - mean) / std: d_x = weight / std * (d_y - mean(d_y) - xh mean(d_y xh)) (Ioffe and Szegedy
// 2015); without batch statistics the two means are absent.
BLOCK_INLINE void batch_block_backward(const BatchBlock *b, int64_t width)
{
    double sums[BLOCK] = {0}, products[BLOCK] = {0};
    for (int64_t r = 0; r < b->rows; r++)
        for (int64_t c = 0; c < width; c++) {
            float value = input_value(b->x[r * b->cols + c], b->relu_first), d_y = b->d_y[r * b->cols + c];
            sums[c] += d_y;
            products[c] += d_y * (value - b->mean[c]) * b->inverse_std[c];
        }
    float shift[BLOCK] = {0}, slope[BLOCK] = {0}, scale[BLOCK];
    for (int64_t c = 0; c < width; c++) {
        scale[c] = b->weight[c] * b->inverse_std[c];
        if (b->d_weight)
            b->d_weight[c] += (float)products[c];
        if (b->d_bias)
            b->d_bias[c] += (float)sums[c];
        if (b->training) {
            shift[c] = (float)(sums[c] / (double)b->rows);
            slope[c] = (float)(products[c] / (double)b->rows) * b->inverse_std[c];
        }
    }
    for (int64_t r = 0; b->d_x && r < b->rows; r++)
#pragma omp simd
        for (int64_t c = 0; c < width; c++) {
            float x = b->x[r * b->cols + c], value = input_value(x, b->relu_first);
            float grad = scale[c] * (b->d_y[r * b->cols + c] - shift[c] - (value - b->mean[c]) * slope[c]);
            grad_put(&b->d_x[r * b->cols + c], b->relu_first && !(x > 0) ? 0 : grad, b->fresh);
        }
}

static void batch_norm_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0];
    const BatchContext *context = node->context;
    int64_t rows = tensor_rows(x), cols = tensor_cols(x);
    bool fresh;
    float *d_x = tape_grad_fresh(tape, x, &fresh), *d_weight = tape_grad(tape, node->inputs[1]);
    float *d_bias = tape_grad(tape, node->inputs[2]);
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t from = 0; from < cols; from += BLOCK) {
        BatchBlock block = {x->data + from,
                            node->output->grad + from,
                            context->mean + from,
                            context->inverse_std + from,
                            node->inputs[1]->data + from,
                            d_x ? d_x + from : NULL,
                            d_weight ? d_weight + from : NULL,
                            d_bias ? d_bias + from : NULL,
                            rows,
                            cols,
                            context->training,
                            context->relu_first,
                            fresh};
        if (cols - from >= BLOCK)
            batch_block_backward(&block, BLOCK);
        else
            batch_block_backward(&block, cols - from);
    }
}

static const Operator BATCH_NORM = {"batch_norm", batch_norm_backward};

Tensor *op_batch_norm(Tape *tape, Tensor *x, const BatchNorm *norm, bool training, bool relu_first)
{
    int64_t rows = tensor_rows(x), cols = tensor_cols(x);
    assert(tensor_size(norm->weight) == cols);
    Tensor *y = tape_tensor_like(tape, x);
    BatchContext *context = tape_scratch(tape, sizeof *context);
    context->mean = tape_scratch(tape, (size_t)cols * sizeof(float));
    context->inverse_std = tape_scratch(tape, (size_t)cols * sizeof(float));
    context->training = training;
    context->relu_first = relu_first;
    if (training) {
        batch_statistics(norm, x, context);
    } else {
        for (int64_t c = 0; c < cols; c++) {
            context->mean[c] = norm->running_mean[c];
            context->inverse_std[c] = 1 / sqrtf(norm->running_variance[c] + norm->epsilon);
        }
    }
    const float *weight = norm->weight->data, *bias = norm->bias->data;
#pragma omp parallel for schedule(static) if (rows * cols > PARALLEL_FROM)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            y->data[r * cols + c] = (input_value(x->data[r * cols + c], relu_first) - context->mean[c]) *
                                        context->inverse_std[c] * weight[c] +
                                    bias[c];
    tape_record(tape, &BATCH_NORM, y, (Tensor *[]){x, norm->weight, norm->bias}, 3, context);
    return y;
}

// --- layer norm

typedef struct RowContext {
    float *mean, *inverse_std; // [R]
} RowContext;

static void layer_norm_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0];
    const RowContext *context = node->context;
    int64_t rows = tensor_rows(x), cols = tensor_cols(x);
    const float *d_y = node->output->grad, *weight = node->inputs[1]->data;
    bool fresh;
    float *d_x = tape_grad_fresh(tape, x, &fresh), *d_weight = tape_grad(tape, node->inputs[1]);
    float *d_bias = tape_grad(tape, node->inputs[2]);
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0, product = 0;
        for (int64_t c = 0; c < cols; c++) {
            float normal = (x->data[r * cols + c] - context->mean[r]) * context->inverse_std[r];
            sum += d_y[r * cols + c] * weight[c];
            product += d_y[r * cols + c] * weight[c] * normal;
        }
        float shift = (float)(sum / (double)cols), slope = (float)(product / (double)cols);
        for (int64_t c = 0; d_x && c < cols; c++) {
            float normal = (x->data[r * cols + c] - context->mean[r]) * context->inverse_std[r];
            grad_put(&d_x[r * cols + c],
                     context->inverse_std[r] * (d_y[r * cols + c] * weight[c] - shift - normal * slope),
                     fresh);
        }
    }
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t from = 0; from < cols; from += BLOCK) {
        int64_t width = cols - from < BLOCK ? cols - from : BLOCK;
        double sums[BLOCK] = {0}, products[BLOCK] = {0};
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < width; c++) {
                int64_t at = r * cols + from + c;
                sums[c] += d_y[at];
                products[c] += d_y[at] * ((x->data[at] - context->mean[r]) * context->inverse_std[r]);
            }
        for (int64_t c = 0; c < width; c++) {
            if (d_weight)
                d_weight[from + c] += (float)products[c];
            if (d_bias)
                d_bias[from + c] += (float)sums[c];
        }
    }
}

static const Operator LAYER_NORM = {"layer_norm", layer_norm_backward};

Tensor *op_layer_norm(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias, float epsilon)
{
    int64_t rows = tensor_rows(x), cols = tensor_cols(x);
    Tensor *y = tape_tensor_like(tape, x);
    RowContext *context = tape_scratch(tape, sizeof *context);
    context->mean = tape_scratch(tape, (size_t)rows * sizeof(float));
    context->inverse_std = tape_scratch(tape, (size_t)rows * sizeof(float));
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t r = 0; r < rows; r++) {
        const float *in = x->data + r * cols;
        double sum = 0, squares = 0;
        for (int64_t c = 0; c < cols; c++)
            sum += in[c];
        double mean = sum / (double)cols;
        for (int64_t c = 0; c < cols; c++)
            squares += (in[c] - mean) * (in[c] - mean);
        context->mean[r] = (float)mean;
        context->inverse_std[r] = (float)(1 / sqrt(squares / (double)cols + epsilon));
        for (int64_t c = 0; c < cols; c++)
            y->data[r * cols + c] =
                (in[c] - context->mean[r]) * context->inverse_std[r] * weight->data[c] + bias->data[c];
    }
    tape_record(tape, &LAYER_NORM, y, (Tensor *[]){x, weight, bias}, 3, context);
    return y;
}

// --- instance norm: over time, per channel; x [B, T, C]

static void instance_norm_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0];
    const RowContext *context = node->context; // [B, C]
    int64_t batch = x->dim[0], time = x->dim[1], cols = x->dim[2];
    const float *d_y = node->output->grad, *weight = node->inputs[1]->data;
    float *d_x = tape_grad(tape, x), *d_weight = tape_grad(tape, node->inputs[1]);
    float *d_bias = tape_grad(tape, node->inputs[2]);
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
    for (int64_t c = 0; c < cols; c++)
        for (int64_t b = 0; b < batch; b++) {
            const float *in = x->data + b * time * cols + c, *grad = d_y + b * time * cols + c;
            float mean = context->mean[b * cols + c], inverse = context->inverse_std[b * cols + c];
            double sum = 0, product = 0;
            for (int64_t t = 0; t < time; t++) {
                sum += grad[t * cols];
                product += grad[t * cols] * ((in[t * cols] - mean) * inverse);
            }
            if (d_weight)
                d_weight[c] += (float)product;
            if (d_bias)
                d_bias[c] += (float)sum;
            float shift = (float)(sum / (double)time), slope = (float)(product / (double)time);
            for (int64_t t = 0; d_x && t < time; t++)
                d_x[(b * time + t) * cols + c] +=
                    weight[c] * inverse * (grad[t * cols] - shift - (in[t * cols] - mean) * inverse * slope);
        }
}

static const Operator INSTANCE_NORM = {"instance_norm", instance_norm_backward};

Tensor *op_instance_norm(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias, float epsilon)
{
    int64_t batch = x->dim[0], time = x->dim[1], cols = x->dim[2];
    Tensor *y = tape_tensor_like(tape, x);
    RowContext *context = tape_scratch(tape, sizeof *context);
    context->mean = tape_scratch(tape, (size_t)(batch * cols) * sizeof(float));
    context->inverse_std = tape_scratch(tape, (size_t)(batch * cols) * sizeof(float));
    for (int64_t b = 0; b < batch; b++) {
        const float *in = x->data + b * time * cols;
        float *out = y->data + b * time * cols;
#pragma omp parallel for schedule(static) if (tensor_size(x) > PARALLEL_FROM)
        for (int64_t from = 0; from < cols; from += BLOCK) {
            int64_t width = cols - from < BLOCK ? cols - from : BLOCK;
            double mean[BLOCK], variance[BLOCK];
            block_moments(in + from, time, cols, width, false, mean, variance);
            for (int64_t c = 0; c < width; c++) {
                context->mean[b * cols + from + c] = (float)mean[c];
                context->inverse_std[b * cols + from + c] = (float)(1 / sqrt(variance[c] + epsilon));
            }
            for (int64_t t = 0; t < time; t++)
                for (int64_t c = from; c < from + width; c++)
                    out[t * cols + c] = (in[t * cols + c] - context->mean[b * cols + c]) *
                                            context->inverse_std[b * cols + c] * weight->data[c] +
                                        bias->data[c];
        }
    }
    tape_record(tape, &INSTANCE_NORM, y, (Tensor *[]){x, weight, bias}, 3, context);
    return y;
}

// --- length normalisation

// context [R]: 1 / max(||x||, epsilon), negative when the floor was used (then y is linear in x)
static void l2_backward(Tape *tape, const Node *node)
{
    int64_t rows = tensor_rows(node->output), cols = tensor_cols(node->output);
    const float *inverse = node->context, *y = node->output->data, *d_y = node->output->grad;
    float *d_x = tape_grad(tape, node->inputs[0]);
    for (int64_t r = 0; r < rows; r++) {
        double dot = 0;
        for (int64_t c = 0; inverse[r] > 0 && c < cols; c++)
            dot += d_y[r * cols + c] * y[r * cols + c];
        for (int64_t c = 0; c < cols; c++)
            d_x[r * cols + c] += fabsf(inverse[r]) * (d_y[r * cols + c] - (float)dot * y[r * cols + c]);
    }
}

static const Operator L2_NORMALIZE = {"l2_normalize", l2_backward};

Tensor *op_l2_normalize(Tape *tape, Tensor *x, float epsilon)
{
    int64_t rows = tensor_rows(x), cols = tensor_cols(x);
    Tensor *y = tape_tensor_like(tape, x);
    float *inverse = tape_scratch(tape, (size_t)rows * sizeof(float));
    for (int64_t r = 0; r < rows; r++) {
        double squares = 0;
        for (int64_t c = 0; c < cols; c++)
            squares += (double)x->data[r * cols + c] * x->data[r * cols + c];
        double norm = sqrt(squares);
        inverse[r] = norm > epsilon ? (float)(1 / norm) : -1 / epsilon;
        for (int64_t c = 0; c < cols; c++)
            y->data[r * cols + c] = x->data[r * cols + c] * fabsf(inverse[r]);
    }
    tape_record(tape, &L2_NORMALIZE, y, &x, 1, inverse);
    return y;
}
