// B batch, T time, F frequency, I input channels, O output channels, K kernel (time by frequency), S T F of
// the output.
//
// The inputs of an output (its patch) are copied out (im2col) to a row, time taps first, and a block of
// outputs is one product of rows [outputs, K I] with the weights [O, K I]. A patch is KT runs of KF I
// neighbouring floats, so copying is cheap beside the product. Blocks are small enough to stay in the cache;
// utterances go to the threads, and each thread's products are its own.
#include <assert.h>
#include <omp.h>
#include <string.h>

#include "tensor/gemm.h"
#include "tensor/ops.h"
#include "tensor/rows.h"

enum { BLOCK_FLOATS = 1 << 17 }; // of copied patches

typedef struct Geometry {
    int64_t batch, time, bins, channels; // of the input
    int64_t steps, out_bins, outputs;    // of the output
    int64_t kernel_time, kernel_bins, stride, padding;
    int64_t tap_time, tap_bins; // distance of neighbouring taps in the weight, floats
    int64_t width;              // K I
    int64_t block_time;         // output frames of a block
} Geometry;

static Geometry geometry(const Tensor *x, const Tensor *weight, Conv2d shape)
{
    Geometry g = {.batch = x->dim[0],
                  .time = x->dim[1],
                  .bins = x->dim[2],
                  .channels = x->dim[3],
                  .outputs = weight->dim[0],
                  .kernel_bins = weight->dim[shape.time_first ? 3 : 2],
                  .kernel_time = weight->dim[shape.time_first ? 2 : 3],
                  .tap_bins = shape.time_first ? 1 : weight->dim[3],
                  .tap_time = shape.time_first ? weight->dim[3] : 1,
                  .stride = shape.stride ? shape.stride : 1,
                  .padding = shape.padding};
    g.steps = (g.time + 2 * g.padding - g.kernel_time) / g.stride + 1;
    g.out_bins = (g.bins + 2 * g.padding - g.kernel_bins) / g.stride + 1;
    g.width = g.kernel_time * g.kernel_bins * g.channels;
    g.block_time = BLOCK_FLOATS / (g.out_bins * g.width) + 1;
    assert(weight->dim[1] == g.channels && g.steps > 0 && g.out_bins > 0);
    return g;
}

// The weight's element for packed[o, t, f, i].
static int64_t weight_index(const Geometry *g, int64_t o, int64_t t, int64_t f, int64_t i)
{
    return (o * g->channels + i) * g->kernel_time * g->kernel_bins + t * g->tap_time + f * g->tap_bins;
}

// Calls the body for every element of packed [O, KT, KF, I], in order.
#define FOR_EACH_TAP(g)                                                                                      \
    for (int64_t o = 0; o < (g)->outputs; o++)                                                               \
        for (int64_t t = 0; t < (g)->kernel_time; t++)                                                       \
            for (int64_t f = 0; f < (g)->kernel_bins; f++)                                                   \
                for (int64_t i = 0; i < (g)->channels; i++)

static void pack_weight(const Geometry *g, const float *weight, float *packed)
{
    FOR_EACH_TAP(g)
    *packed++ = weight[weight_index(g, o, t, f, i)];
}

static void unpack_weight_grad(const Geometry *g, const float *packed, float *d_weight)
{
    FOR_EACH_TAP(g)
    d_weight[weight_index(g, o, t, f, i)] += *packed++;
}

// The taps of frequency that lie inside the input, for output bin f: first .. end - 1 of the kernel.
static void inside(const Geometry *g, int64_t f, int64_t *first, int64_t *end)
{
    int64_t start = f * g->stride - g->padding;
    *first = start < 0 ? -start : 0;
    *end = start + g->kernel_bins > g->bins ? g->bins - start : g->kernel_bins;
}

// Patches of output frame t of the utterance x [T, F, I] -> rows [out_bins, K I].
static void copy_patches(const Geometry *g, const float *x, int64_t t, float *rows)
{
    int64_t run = g->kernel_bins * g->channels;
    for (int64_t f = 0; f < g->out_bins; f++)
        for (int64_t k = 0; k < g->kernel_time; k++, rows += run) {
            int64_t time = t * g->stride - g->padding + k, first, end;
            inside(g, f, &first, &end);
            if (time < 0 || time >= g->time) {
                memset(rows, 0, (size_t)run * sizeof(float));
                continue;
            }
            const float *from = x + (time * g->bins + f * g->stride - g->padding) * g->channels;
            for (int64_t i = 0; i < first * g->channels; i++)
                rows[i] = 0;
            for (int64_t i = first * g->channels; i < end * g->channels; i++)
                rows[i] = from[i];
            for (int64_t i = end * g->channels; i < run; i++)
                rows[i] = 0;
        }
}

// The other way: adds rows [out_bins, K I] to d_x.
static void add_patches(const Geometry *g, const float *rows, int64_t t, float *d_x)
{
    int64_t run = g->kernel_bins * g->channels;
    for (int64_t f = 0; f < g->out_bins; f++)
        for (int64_t k = 0; k < g->kernel_time; k++, rows += run) {
            int64_t time = t * g->stride - g->padding + k, first, end;
            inside(g, f, &first, &end);
            if (time < 0 || time >= g->time)
                continue;
            float *to = d_x + (time * g->bins + f * g->stride - g->padding) * g->channels;
            for (int64_t i = first * g->channels; i < end * g->channels; i++)
                to[i] += rows[i];
        }
}

static int64_t block_frames(const Geometry *g, int64_t start)
{
    return g->steps - start < g->block_time ? g->steps - start : g->block_time;
}

// A thread's share of d_weight, packed [O, K I], and of d_x, for utterance b. rows: scratch for a block of
// patches.
static void backward_utterance(const Geometry *g, const float *x, const float *packed, const float *d_y,
                               float *rows, float *d_packed, float *d_x)
{
    int64_t frame = g->out_bins * g->outputs;
    for (int64_t start = 0; start < g->steps; start += g->block_time) {
        int64_t count = block_frames(g, start), n = count * g->out_bins;
        const float *d_block = d_y + start * frame;
        if (d_packed) {
            for (int64_t t = 0; t < count; t++)
                copy_patches(g, x, start + t, rows + t * g->out_bins * g->width);
            gemm(true, false, g->outputs, g->width, n, 1, d_block, g->outputs, rows, g->width, 1, d_packed,
                 g->width);
        }
        if (!d_x)
            continue;
        gemm(false, false, n, g->width, g->outputs, 1, d_block, g->outputs, packed, g->width, 0, rows,
             g->width);
        for (int64_t t = 0; t < count; t++)
            add_patches(g, rows + t * g->out_bins * g->width, start + t, d_x);
    }
}

static void conv2d_backward(Tape *tape, const Node *node)
{
    const Conv2d *shape = node->context;
    Tensor *x = node->inputs[0], *weight = node->inputs[1];
    Geometry g = geometry(x, weight, *shape);
    float *d_x = tape_grad(tape, x), *d_weight = tape_grad(tape, weight), *d_y = node->output->grad;
    int64_t size = g.outputs * g.width, block = g.block_time * g.out_bins * g.width,
            n_threads = omp_get_max_threads();
    TapeMark mark = tape_scratch_begin(tape);
    float *packed = tape_scratch(tape, (size_t)size * sizeof(float));
    float *sums = tape_scratch(tape, (size_t)(n_threads * size) * sizeof(float));
    float *rows = tape_scratch(tape, (size_t)(n_threads * block) * sizeof(float));
    pack_weight(&g, weight->data, packed);
    memset(sums, 0, (size_t)(n_threads * size) * sizeof(float));
    int64_t of_x = g.time * g.bins * g.channels, of_y = g.steps * g.out_bins * g.outputs;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < g.batch; b++) {
        int64_t thread = omp_get_thread_num();
        backward_utterance(&g, x->data + b * of_x, packed, d_y + b * of_y, rows + thread * block,
                           d_weight ? sums + thread * size : NULL, d_x ? d_x + b * of_x : NULL);
    }
    for (int64_t thread = 0; d_weight && thread < n_threads; thread++)
        unpack_weight_grad(&g, sums + thread * size, d_weight);
    float *d_bias = tape_grad(tape, node->inputs[2]);
    if (d_bias)
        rows_sum(d_bias, d_y, tensor_rows(node->output), g.outputs);
    tape_scratch_end(tape, mark);
}

static const Operator conv2d = {"conv2d", conv2d_backward};

Tensor *op_conv2d(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias, Conv2d shape)
{
    Geometry g = geometry(x, weight, shape);
    Tensor *y = tape_tensor(tape, 4, (int64_t[]){g.batch, g.steps, g.out_bins, g.outputs});
    int64_t block = g.block_time * g.out_bins * g.width, n_threads = omp_get_max_threads();
    TapeMark mark = tape_scratch_begin(tape);
    float *packed = tape_scratch(tape, (size_t)(g.outputs * g.width) * sizeof(float));
    float *scratch = tape_scratch(tape, (size_t)(n_threads * block) * sizeof(float));
    pack_weight(&g, weight->data, packed);
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < g.batch; b++) {
        float *rows = scratch + omp_get_thread_num() * block;
        for (int64_t start = 0; start < g.steps; start += g.block_time) {
            int64_t count = block_frames(&g, start), frame = g.out_bins * g.outputs;
            for (int64_t t = 0; t < count; t++)
                copy_patches(&g, x->data + b * g.time * g.bins * g.channels, start + t,
                             rows + t * g.out_bins * g.width);
            gemm(false, true, count * g.out_bins, g.outputs, g.width, 1, rows, g.width, packed, g.width, 0,
                 y->data + (b * g.steps + start) * frame, g.outputs);
        }
    }
    tape_scratch_end(tape, mark);
    for (int64_t r = 0; bias && r < tensor_rows(y); r++)
        for (int64_t o = 0; o < g.outputs; o++)
            y->data[r * g.outputs + o] += bias->data[o];
    Conv2d *context = tape_scratch(tape, sizeof *context);
    *context = shape;
    tape_record(tape, &conv2d, y, (Tensor *[]){x, weight, bias}, 3, context);
    return y;
}
