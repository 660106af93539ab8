// Self-attention as one operator. Heads are slices of the channel dimension, so every product here is a small
// GEMM on matrices with row stride C, and threads share out the (batch, head) pairs.
#include "tensor/attention.h"
#include <assert.h>
#include <math.h>
#include <omp.h>
#include <string.h>
#include "tensor/gemm.h"
#include "tensor/vecmath.h"

enum { QUERY_BLOCK = 128 }; // rows of s held at once: 128 x T floats stay in cache for seconds of speech

typedef struct Context {
    Attention attention;
    float *log_sum; // [B, H, T], log of the softmax's denominator, per row of s
} Context;

// One head of one utterance, and the rows of s at hand.
typedef struct Head {
    const Tensor *q, *bias, *gate;
    int64_t b, h;
    int64_t frames;             // T
    int64_t channels, head_dim; // H * D, D: of queries and keys
    int64_t v_channels, v_dim;  // H * V, V: of values and of what is heard
    int64_t first, rows;        // queries [first, first + rows)
} Head;

static Head head_of(const Node *node, int64_t heads, int64_t b, int64_t h)
{
    const Tensor *q = node->inputs[0], *v = node->inputs[2];
    return (Head){.q = q,
                  .bias = node->inputs[3],
                  .gate = node->inputs[4],
                  .b = b,
                  .h = h,
                  .frames = q->dim[1],
                  .channels = q->dim[2],
                  .head_dim = q->dim[2] / heads,
                  .v_channels = v->dim[2],
                  .v_dim = v->dim[2] / heads};
}

static void head_block(Head *head, int64_t first)
{
    int64_t left = head->frames - first;
    head->first = first;
    head->rows = left < QUERY_BLOCK ? left : QUERY_BLOCK;
}

// Where this head's [T, D] slice starts in a [B, T, C] array.
static int64_t slice_offset(const Head *head)
{
    return head->b * head->frames * head->channels + head->h * head->head_dim;
}

static int64_t block_offset(const Head *head) // the same, from the block's first query
{
    return slice_offset(head) + head->first * head->channels;
}

// The same two in an array of the values' width.
static int64_t v_slice_offset(const Head *head)
{
    return head->b * head->frames * head->v_channels + head->h * head->v_dim;
}

static int64_t v_block_offset(const Head *head)
{
    return v_slice_offset(head) + head->first * head->v_channels;
}

static int64_t row_index(const Head *head, int64_t heads, int64_t row) // into [B, H, T]
{
    return (head->b * heads + head->h) * head->frames + head->first + row;
}

static float gate_at(const Head *head, int64_t heads, int64_t row)
{
    return head->gate ? head->gate->data[row_index(head, heads, row)] : 1.0f;
}

// Element j is the bias of key j for the block's query `row`: the distances shift by one from row to row.
static int64_t bias_offset(const Head *head, int64_t row)
{
    return head->h * (2 * head->frames - 1) + head->frames - 1 - (head->first + row);
}

static void block_scores(const Head *head, int64_t heads, const float *k, float *scores) // scores [rows, T]
{
    float scale = 1.0f / sqrtf((float)head->head_dim);
    gemm(false, true, head->rows, head->frames, head->head_dim, scale, head->q->data + block_offset(head),
         head->channels, k + slice_offset(head), head->channels, 0.0f, scores, head->frames);
    for (int64_t i = 0; head->bias && i < head->rows; i++) {
        const float *bias = head->bias->data + bias_offset(head, i);
        float gate = gate_at(head, heads, i), *row = scores + i * head->frames;
        for (int64_t j = 0; j < head->frames; j++)
            row[j] += gate * bias[j];
    }
}

// In place; returns log(sum_j exp(s_j)).
static float softmax_row(float *row, int64_t n)
{
    float peak = -INFINITY, sum = 0.0f;
#pragma omp simd reduction(max : peak)
    for (int64_t j = 0; j < n; j++)
        peak = row[j] > peak ? row[j] : peak;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        row[j] = fast_exp(row[j] - peak);
        sum += row[j];
    }
    for (int64_t j = 0; j < n; j++)
        row[j] /= sum;
    return peak + logf(sum);
}

// Multiplies values[rows, T] by what dropout leaves: 0 or 1/(1-p). Every element has its own place in the
// stream, so the backward pass draws the same.
static void apply_dropout(const Head *head, const Attention *attention, float *values)
{
    if (attention->dropout <= 0.0f)
        return;
    const float dropout = attention->dropout, keep = 1.0f / (1.0f - dropout);
    const Rng rng = attention->rng;
    for (int64_t i = 0; i < head->rows; i++) {
        float *row = values + i * head->frames;
        uint64_t place = (uint64_t)(row_index(head, attention->heads, i) * head->frames) + 1;
#pragma omp simd
        for (int64_t j = 0; j < head->frames; j++)
            row[j] *= rng_uniform_ahead(&rng, place + (uint64_t)j) < dropout ? 0.0f : keep;
    }
}

static void forward_head(const Node *node, const Context *context, int64_t b, int64_t h, float *scratch)
{
    int64_t heads = context->attention.heads;
    Head head = head_of(node, heads, b, h);
    const float *k = node->inputs[1]->data, *v = node->inputs[2]->data;
    for (int64_t first = 0; first < head.frames; first += QUERY_BLOCK) {
        head_block(&head, first);
        block_scores(&head, heads, k, scratch);
        for (int64_t i = 0; i < head.rows; i++)
            context->log_sum[row_index(&head, heads, i)] =
                softmax_row(scratch + i * head.frames, head.frames);
        apply_dropout(&head, &context->attention, scratch);
        gemm(false, false, head.rows, head.v_dim, head.frames, 1.0f, scratch, head.frames,
             v + v_slice_offset(&head), head.v_channels, 0.0f, node->output->data + v_block_offset(&head),
             head.v_channels);
    }
}

// The gradients' buffers; NULL where none is wanted.
typedef struct Gradients {
    float *q, *k, *v, *gate;
    float *bias_parts; // [B, H, 2T-1]: the batch shares the bias, so each utterance adds up its own
} Gradients;

// weights [rows, T] = softmax, from the scores and the stored denominators
static void block_weights(const Head *head, const Context *context, const float *k, float *weights)
{
    int64_t heads = context->attention.heads;
    block_scores(head, heads, k, weights);
    for (int64_t i = 0; i < head->rows; i++) {
        float log_sum = context->log_sum[row_index(head, heads, i)], *row = weights + i * head->frames;
        for (int64_t j = 0; j < head->frames; j++)
            row[j] = fast_exp(row[j] - log_sum);
    }
}

// In place: d_weights becomes d_s = weights * (d_weights - sum_j weights_j d_weights_j).
static void softmax_backward(const Head *head, const float *weights, float *d_weights)
{
    for (int64_t i = 0; i < head->rows; i++) {
        const float *p = weights + i * head->frames;
        float *d = d_weights + i * head->frames, dot = 0.0f;
#pragma omp simd reduction(+ : dot)
        for (int64_t j = 0; j < head->frames; j++)
            dot += p[j] * d[j];
        for (int64_t j = 0; j < head->frames; j++)
            d[j] = p[j] * (d[j] - dot);
    }
}

static void bias_backward(const Head *head, int64_t heads, const float *d_scores, const Gradients *grads)
{
    for (int64_t i = 0; head->bias && i < head->rows; i++) {
        const float *d = d_scores + i * head->frames, *bias = head->bias->data + bias_offset(head, i);
        float gate = gate_at(head, heads, i), dot = 0.0f;
#pragma omp simd reduction(+ : dot)
        for (int64_t j = 0; j < head->frames; j++)
            dot += d[j] * bias[j];
        if (grads->gate)
            grads->gate[row_index(head, heads, i)] += dot;
        if (!grads->bias_parts)
            continue;
        float *d_bias = grads->bias_parts + head->b * tensor_size(head->bias) + bias_offset(head, i);
        for (int64_t j = 0; j < head->frames; j++)
            d_bias[j] += gate * d[j];
    }
}

// d_q, d_k from d_s [rows, T]
static void scores_backward(const Head *head, const float *k, const float *d_scores, const Gradients *grads)
{
    float scale = 1.0f / sqrtf((float)head->head_dim);
    int64_t slice = slice_offset(head), block = block_offset(head);
    if (grads->q)
        gemm(false, false, head->rows, head->head_dim, head->frames, scale, d_scores, head->frames, k + slice,
             head->channels, 1.0f, grads->q + block, head->channels);
    if (grads->k)
        gemm(true, false, head->frames, head->head_dim, head->rows, scale, d_scores, head->frames,
             head->q->data + block, head->channels, 1.0f, grads->k + slice, head->channels);
}

static void backward_head(const Node *node, const Gradients *grads, int64_t b, int64_t h, float *scratch)
{
    const Context *context = node->context;
    Head head = head_of(node, context->attention.heads, b, h);
    const float *k = node->inputs[1]->data, *v = node->inputs[2]->data, *d_out = node->output->grad;
    float *weights = scratch, *d_scores = scratch + QUERY_BLOCK * head.frames; // [rows, T] each
    for (int64_t first = 0; first < head.frames; first += QUERY_BLOCK) {
        head_block(&head, first);
        int64_t n = head.rows * head.frames, slice = v_slice_offset(&head), block = v_block_offset(&head);
        block_weights(&head, context, k, weights);
        if (grads->v) {
            memcpy(d_scores, weights, (size_t)n * sizeof(float)); // as dropout left them
            apply_dropout(&head, &context->attention, d_scores);
            gemm(true, false, head.frames, head.v_dim, head.rows, 1.0f, d_scores, head.frames, d_out + block,
                 head.v_channels, 1.0f, grads->v + slice, head.v_channels);
        }
        gemm(false, true, head.rows, head.frames, head.v_dim, 1.0f, d_out + block, head.v_channels, v + slice,
             head.v_channels, 0.0f, d_scores, head.frames);
        apply_dropout(&head, &context->attention, d_scores);
        softmax_backward(&head, weights, d_scores);
        bias_backward(&head, context->attention.heads, d_scores, grads);
        scores_backward(&head, k, d_scores, grads);
    }
}

// The utterances' parts, in order, so that the sum does not depend on the threads.
static void add_bias_parts(const float *parts, int64_t batch, int64_t n, float *d_bias)
{
    for (int64_t b = 0; b < batch; b++)
        for (int64_t i = 0; i < n; i++)
            d_bias[i] += parts[b * n + i];
}

static float *optional_grad(Tape *tape, Tensor *x)
{
    return x ? tape_grad(tape, x) : NULL;
}

static void attention_backward(Tape *tape, const Node *node)
{
    const Context *context = node->context;
    Tensor *const *in = node->inputs;
    int64_t batch = in[0]->dim[0], frames = in[0]->dim[1], heads = context->attention.heads;
    float *d_bias = optional_grad(tape, in[3]);
    Gradients grads = {.q = tape_grad(tape, in[0]),
                       .k = tape_grad(tape, in[1]),
                       .v = tape_grad(tape, in[2]),
                       .gate = optional_grad(tape, in[4])};
    TapeMark mark = tape_scratch_begin(tape);
    size_t per_thread = 2 * (size_t)QUERY_BLOCK * (size_t)frames;
    float *scratch = tape_scratch(tape, (size_t)omp_get_max_threads() * per_thread * sizeof(float));
    if (d_bias) {
        size_t n_bytes = (size_t)(batch * tensor_size(in[3])) * sizeof(float);
        grads.bias_parts = memset(tape_scratch(tape, n_bytes), 0, n_bytes);
    }
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t b = 0; b < batch; b++)
        for (int64_t h = 0; h < heads; h++)
            backward_head(node, &grads, b, h, scratch + (size_t)omp_get_thread_num() * per_thread);
    if (d_bias)
        add_bias_parts(grads.bias_parts, batch, tensor_size(in[3]), d_bias);
    tape_scratch_end(tape, mark);
}

static const Operator attention_operator = {"attention", attention_backward};

static void assert_shapes(const Tensor *q, const Tensor *k, const Tensor *v, const Tensor *bias,
                          const Tensor *gate, int64_t heads)
{
    assert(q->n_dims == 3 && q->dim[2] % heads == 0);
    assert(tensor_size(k) == tensor_size(q));
    assert(v->n_dims == 3 && v->dim[0] == q->dim[0] && v->dim[1] == q->dim[1] && v->dim[2] % heads == 0);
    assert(!bias || tensor_size(bias) == heads * (2 * q->dim[1] - 1));
    assert(!gate || (bias && tensor_size(gate) == q->dim[0] * heads * q->dim[1]));
    (void)q, (void)k, (void)v, (void)bias, (void)gate, (void)heads;
}

Tensor *op_attention(Tape *tape, Tensor *q, Tensor *k, Tensor *v, Tensor *bias, Tensor *gate,
                     const Attention *attention)
{
    int64_t batch = q->dim[0], frames = q->dim[1], heads = attention->heads;
    assert_shapes(q, k, v, bias, gate, heads);
    Tensor *inputs[] = {q, k, v, bias, gate};
    Tensor *out = tape_tensor_like(tape, v);
    Context *context = tape_scratch(tape, sizeof *context);
    context->attention = *attention;
    context->log_sum = tape_scratch(tape, (size_t)(batch * heads * frames) * sizeof(float));
    Node node = {.output = out, .inputs = inputs, .n_inputs = 5, .context = context};

    TapeMark mark = tape_scratch_begin(tape);
    size_t per_thread = (size_t)QUERY_BLOCK * (size_t)frames;
    float *scratch = tape_scratch(tape, (size_t)omp_get_max_threads() * per_thread * sizeof(float));
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t b = 0; b < batch; b++)
        for (int64_t h = 0; h < heads; h++)
            forward_head(&node, context, b, h, scratch + (size_t)omp_get_thread_num() * per_thread);
    tape_scratch_end(tape, mark);

    tape_record(tape, &attention_operator, out, inputs, 5, context);
    return out;
}
