// B batch, T time, C input channels, O output channels, K kernel, G groups; c = C/G, o = O/G.
//
// Each group's input is packed into zero-padded rows [B, P, c], P = T + 2 padding. The K input rows of one
// output then lie together, so that a strided convolution is a product over overlapping rows (row stride
// `stride * c`, row length K * c). BLAS wants rows that do not overlap: every ceil(K / stride)-th row is such
// a matrix, so there are that many products, and none of the rows is copied. Where that would be many small
// products (unit stride, dilation), the rows are copied out (im2col) for one big one. Weights are repacked
// from [O, c, K] to [O, K, c] in each step, which costs next to nothing beside the product.
#include <assert.h>
#include <string.h>

#include "tensor/gemm.h"
#include "tensor/ops.h"
#include "tensor/rows.h"

enum { MAX_PHASES = 2 };

typedef struct Geometry {
    int64_t batch, time, channels, outputs, kernel;
    int64_t stride, padding, dilation, groups;
    int64_t padded, steps;              // P, T of the output
    int64_t group_in, group_out, width; // c, o, K * c
    int64_t phases;                     // products over overlapping rows; 0: rows are copied out
} Geometry;

static Geometry geometry(const Tensor *x, const Tensor *weight, Conv1d shape)
{
    Geometry g = {.batch = x->dim[0],
                  .time = x->dim[1],
                  .channels = x->dim[2],
                  .outputs = weight->dim[0],
                  .kernel = weight->dim[2]};
    g.stride = shape.stride ? shape.stride : 1;
    g.padding = shape.padding;
    g.dilation = shape.dilation ? shape.dilation : 1;
    g.groups = shape.groups ? shape.groups : 1;
    g.padded = g.time + 2 * g.padding;
    g.steps = (g.padded - g.dilation * (g.kernel - 1) - 1) / g.stride + 1;
    g.group_in = g.channels / g.groups;
    g.group_out = g.outputs / g.groups;
    g.width = g.kernel * g.group_in;
    int64_t phases = (g.kernel + g.stride - 1) / g.stride;
    g.phases = g.dilation == 1 && phases <= MAX_PHASES ? phases : 0;
    assert(weight->dim[1] == g.group_in && g.group_in * g.groups == g.channels && g.steps > 0);
    return g;
}

// [o, c, K] of one group -> [o, K, c], or back and added.
static void pack_weight(const Geometry *g, const float *weight, float *packed)
{
    for (int64_t o = 0; o < g->group_out; o++)
        for (int64_t k = 0; k < g->kernel; k++)
            for (int64_t c = 0; c < g->group_in; c++)
                packed[(o * g->kernel + k) * g->group_in + c] = weight[(o * g->group_in + c) * g->kernel + k];
}

static void unpack_weight_grad(const Geometry *g, const float *packed, float *d_weight)
{
    for (int64_t o = 0; o < g->group_out; o++)
        for (int64_t k = 0; k < g->kernel; k++)
            for (int64_t c = 0; c < g->group_in; c++)
                d_weight[(o * g->group_in + c) * g->kernel + k] +=
                    packed[(o * g->kernel + k) * g->group_in + c];
}

static void pad_group(const Geometry *g, const float *x, int64_t group, float *padded)
{
#pragma omp parallel for schedule(static) if (g->batch * g->padded * g->group_in > PARALLEL_FROM)
    for (int64_t b = 0; b < g->batch; b++) {
        float *rows = padded + b * g->padded * g->group_in;
        memset(rows, 0, (size_t)(g->padding * g->group_in) * sizeof(float));
        memset(rows + (g->padding + g->time) * g->group_in, 0,
               (size_t)(g->padding * g->group_in) * sizeof(float));
        for (int64_t t = 0; t < g->time; t++)
            memcpy(rows + (g->padding + t) * g->group_in,
                   x + (b * g->time + t) * g->channels + group * g->group_in,
                   (size_t)g->group_in * sizeof(float));
    }
}

static void gather_rows(const Geometry *g, const float *padded, float *columns)
{
#pragma omp parallel for schedule(static) if (g->batch * g->steps * g->width > PARALLEL_FROM)
    for (int64_t r = 0; r < g->batch * g->steps; r++) {
        int64_t b = r / g->steps, t = r % g->steps;
        for (int64_t k = 0; k < g->kernel; k++)
            memcpy(columns + r * g->width + k * g->group_in,
                   padded + (b * g->padded + t * g->stride + k * g->dilation) * g->group_in,
                   (size_t)g->group_in * sizeof(float));
    }
}

// One product of a group: which rows [K * c] of the input, and which of the output, belong to it.
typedef struct Product {
    const float *rows;
    int64_t n_rows, row_stride;
    int64_t first_output, output_step; // rows of y
} Product;

static int64_t n_products(const Geometry *g)
{
    return g->phases ? g->batch * g->phases : 1;
}

static Product product_at(const Geometry *g, const float *rows, int64_t index)
{
    if (!g->phases)
        return (Product){rows, g->batch * g->steps, g->width, 0, 1};
    int64_t b = index / g->phases, phase = index % g->phases, step = g->stride * g->group_in;
    return (Product){rows + b * g->padded * g->group_in + phase * step,
                     (g->steps - phase + g->phases - 1) / g->phases, g->phases * step, b * g->steps + phase,
                     g->phases};
}

// The input of one group as the products read it; padded and columns are room for copies.
static const float *input_rows(const Geometry *g, const float *x, int64_t group, float *padded,
                               float *columns)
{
    const float *rows = x;
    if (g->padding > 0 || g->groups > 1) {
        pad_group(g, x, group, padded);
        rows = padded;
    }
    if (g->phases)
        return rows;
    gather_rows(g, rows, columns);
    return columns;
}

static float *scratch(Tape *tape, int64_t n)
{
    return tape_scratch(tape, (size_t)n * sizeof(float));
}

// d_x of one group: d_columns = d_y W, each of its K pieces added to the input row it came from.
static void input_backward(Tape *tape, const Geometry *g, const float *d_y, const float *packed,
                           int64_t group, float *d_x)
{
    float *d_columns = scratch(tape, g->batch * g->steps * g->width);
    gemm(false, false, g->batch * g->steps, g->width, g->group_out, 1, d_y + group * g->group_out, g->outputs,
         packed, g->width, 0, d_columns, g->width);
#pragma omp parallel for schedule(static) if (g->batch * g->steps * g->width > PARALLEL_FROM)
    for (int64_t b = 0; b < g->batch; b++)
        for (int64_t t = 0; t < g->steps; t++)
            for (int64_t k = 0; k < g->kernel; k++) {
                int64_t at = t * g->stride + k * g->dilation - g->padding;
                if (at < 0 || at >= g->time)
                    continue;
                float *to = d_x + (b * g->time + at) * g->channels + group * g->group_in;
                const float *from = d_columns + (b * g->steps + t) * g->width + k * g->group_in;
                for (int64_t c = 0; c < g->group_in; c++)
                    to[c] += from[c];
            }
}

static void conv1d_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0], *weight = node->inputs[1], *bias = node->inputs[2];
    const Geometry *g = node->context;
    const float *d_y = node->output->grad;
    float *d_x = tape_grad(tape, x), *d_weight = tape_grad(tape, weight), *d_bias = tape_grad(tape, bias);
    TapeMark mark = tape_scratch_begin(tape);
    float *padded = scratch(tape, g->batch * g->padded * g->group_in);
    float *columns = !g->phases ? scratch(tape, g->batch * g->steps * g->width) : NULL;
    float *packed = scratch(tape, g->group_out * g->width);
    for (int64_t group = 0; group < g->groups; group++) {
        int64_t offset = group * g->group_out * g->group_in * g->kernel;
        if (d_weight) {
            const float *rows = input_rows(g, x->data, group, padded, columns);
            for (int64_t i = 0; i < n_products(g); i++) {
                Product p = product_at(g, rows, i);
                gemm(true, false, g->group_out, g->width, p.n_rows, 1,
                     d_y + p.first_output * g->outputs + group * g->group_out, p.output_step * g->outputs,
                     p.rows, p.row_stride, i > 0, packed, g->width);
            }
            unpack_weight_grad(g, packed, d_weight + offset);
        }
        if (d_x) {
            pack_weight(g, weight->data + offset, packed);
            TapeMark inner = tape_scratch_begin(tape);
            input_backward(tape, g, d_y, packed, group, d_x);
            tape_scratch_end(tape, inner);
        }
    }
    if (d_bias)
        rows_sum(d_bias, d_y, g->batch * g->steps, g->outputs);
    tape_scratch_end(tape, mark);
}

static const Operator CONV1D = {"conv1d", conv1d_backward};

// y[b, t, o] = bias[o] + sum_k sum_c x[b, t stride + k dilation - padding, c] w[o, c, k]
Tensor *op_conv1d(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias, Conv1d shape)
{
    Geometry g = geometry(x, weight, shape);
    Tensor *y = tape_tensor(tape, 3, (int64_t[]){g.batch, g.steps, g.outputs});
    Geometry *context = tape_scratch(tape, sizeof *context);
    *context = g;
    TapeMark mark = tape_scratch_begin(tape);
    float *padded = scratch(tape, g.batch * g.padded * g.group_in);
    float *columns = !g.phases ? scratch(tape, g.batch * g.steps * g.width) : NULL;
    float *packed = scratch(tape, g.group_out * g.width);
    if (bias)
        rows_fill(y->data, g.outputs, bias->data, g.batch * g.steps, g.outputs);
    for (int64_t group = 0; group < g.groups; group++) {
        pack_weight(&g, weight->data + group * g.group_out * g.group_in * g.kernel, packed);
        const float *rows = input_rows(&g, x->data, group, padded, columns);
        for (int64_t i = 0; i < n_products(&g); i++) {
            Product p = product_at(&g, rows, i);
            gemm(false, true, p.n_rows, g.group_out, g.width, 1, p.rows, p.row_stride, packed, g.width,
                 bias ? 1 : 0, y->data + p.first_output * g.outputs + group * g.group_out,
                 p.output_step * g.outputs);
        }
    }
    tape_scratch_end(tape, mark);
    tape_record(tape, &CONV1D, y, (Tensor *[]){x, weight, bias}, 3, context);
    return y;
}
