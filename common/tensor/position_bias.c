// WavLM's gated relative position bias: one table of buckets for all layers, a gate per layer, head and
// query.
#include <assert.h>
#include <math.h>
#include "tensor/attention.h"
#include "tensor/gemm.h"

int64_t relative_position_bucket(int64_t relative, int64_t n_buckets, int64_t max_distance)
{
    int64_t half = n_buckets / 2, exact = half / 2;
    int64_t side = relative > 0 ? half : 0, distance = relative < 0 ? -relative : relative;
    if (distance < exact)
        return side + distance;
    // In float32 like the reference: in double some distances at the edge of a bucket would move by one.
    float ratio = logf((float)distance / (float)exact) / (float)log((double)max_distance / (double)exact);
    int64_t bucket = exact + (int64_t)(ratio * (float)(half - exact));
    return side + (bucket < half - 1 ? bucket : half - 1);
}

static void position_bias_backward(Tape *tape, const Node *node)
{
    const int64_t *bucket = node->context; // [2T-1]
    float *d_table = tape_grad(tape, node->inputs[0]);
    int64_t heads = node->output->dim[0], n_distances = node->output->dim[1];
    for (int64_t h = 0; d_table && h < heads; h++)
        for (int64_t d = 0; d < n_distances; d++)
            d_table[bucket[d] * heads + h] += node->output->grad[h * n_distances + d];
}

static const Operator position_bias_operator = {"position_bias", position_bias_backward};

Tensor *op_position_bias(Tape *tape, Tensor *table, int64_t n_frames, int64_t max_distance)
{
    int64_t heads = table->dim[1], n_distances = 2 * n_frames - 1;
    Tensor *out = tape_tensor(tape, 2, (int64_t[]){heads, n_distances});
    int64_t *bucket = tape_scratch(tape, (size_t)n_distances * sizeof *bucket);
    for (int64_t d = 0; d < n_distances; d++) {
        bucket[d] = relative_position_bucket(d - (n_frames - 1), table->dim[0], max_distance);
        for (int64_t h = 0; h < heads; h++)
            out->data[h * n_distances + d] = table->data[bucket[d] * heads + h];
    }
    tape_record(tape, &position_bias_operator, out, &table, 1, bucket);
    return out;
}

enum {
    GATE_OUTPUTS = 8,
    GATE_SUMMED = 4
}; // the reference's linear layer, and how many outputs make one number

typedef struct GateContext {
    float *weight; // [2, D], the sums of four rows each
    float *a_b;    // [B, T, H, 2], after the sigmoid
} GateContext;

static float *summed_weight(Tape *tape, const Tensor *weight) // [2, D]
{
    int64_t head_dim = weight->dim[1];
    float *sums = tape_scratch(tape, (size_t)(2 * head_dim) * sizeof(float));
    for (int64_t d = 0; d < 2 * head_dim; d++) {
        const float *rows = weight->data + d / head_dim * GATE_SUMMED * head_dim + d % head_dim;
        sums[d] = rows[0] + rows[head_dim] + rows[2 * head_dim] + rows[3 * head_dim];
    }
    return sums;
}

static void gate_parameters_backward(Tape *tape, const Node *node, const float *d_a_b, int64_t n_rows)
{
    Tensor *x = node->inputs[0], *weight = node->inputs[1];
    int64_t head_dim = weight->dim[1];
    float *d_weight = tape_grad(tape, weight), *d_bias = tape_grad(tape, node->inputs[2]);
    for (int64_t o = 0; d_weight && o < GATE_OUTPUTS;
         o++) // [1, N] [N, D]: every row of a sum has its gradient
        gemm(true, false, 1, head_dim, n_rows, 1.0f, d_a_b + o / GATE_SUMMED, 2, x->data, head_dim, 1.0f,
             d_weight + o * head_dim, head_dim);
    double sum[2] = {0.0, 0.0};
    for (int64_t n = 0; n < n_rows; n++) {
        sum[0] += d_a_b[2 * n];
        sum[1] += d_a_b[2 * n + 1];
    }
    for (int64_t o = 0; d_bias && o < GATE_OUTPUTS; o++)
        d_bias[o] += (float)sum[o / GATE_SUMMED];
}

// d_a_b [B, T, H, 2], before the sigmoid; adds into d_scale [H] when wanted.
static void gate_factor_backward(const Node *node, float *d_a_b, float *d_scale)
{
    const Tensor *gate = node->output; // [B, H, T]
    const float *scale = node->inputs[3]->data;
    const GateContext *context = node->context;
    int64_t batch = gate->dim[0], heads = gate->dim[1], frames = gate->dim[2];
    for (int64_t h = 0; h < heads; h++) {
        double sum = 0.0;
        for (int64_t bt = 0; bt < batch * frames; bt++) {
            float d = gate->grad[(bt / frames * heads + h) * frames + bt % frames];
            const float *a_b = context->a_b + (bt * heads + h) * 2;
            float a = a_b[0], b = a_b[1];
            d_a_b[(bt * heads + h) * 2] = d * (b * scale[h] - 1.0f) * a * (1.0f - a);
            d_a_b[(bt * heads + h) * 2 + 1] = d * a * scale[h] * b * (1.0f - b);
            sum += (double)(d * a * b);
        }
        if (d_scale)
            d_scale[h] += (float)sum;
    }
}

static void position_gate_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0];
    const GateContext *context = node->context;
    int64_t head_dim = node->inputs[1]->dim[1], n_rows = tensor_size(x) / head_dim;
    float *d_x = tape_grad(tape, x), *d_scale = tape_grad(tape, node->inputs[3]);
    TapeMark mark = tape_scratch_begin(tape);
    float *d_a_b = tape_scratch(tape, (size_t)(2 * n_rows) * sizeof(float));
    gate_factor_backward(node, d_a_b, d_scale);
    if (d_x)
        gemm(false, false, n_rows, head_dim, 2, 1.0f, d_a_b, 2, context->weight, head_dim, 1.0f, d_x,
             head_dim);
    gate_parameters_backward(tape, node, d_a_b, n_rows);
    tape_scratch_end(tape, mark);
}

static const Operator position_gate_operator = {"position_gate", position_gate_backward};

Tensor *op_position_gate(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias, Tensor *scale)
{
    int64_t batch = x->dim[0], frames = x->dim[1], heads = tensor_size(scale), head_dim = x->dim[2] / heads;
    int64_t n_rows = batch * frames * heads; // x seen as [B*T*H, D]
    assert(weight->dim[0] == GATE_OUTPUTS && weight->dim[1] == head_dim && x->dim[2] == heads * head_dim);
    Tensor *out = tape_tensor(tape, 3, (int64_t[]){batch, heads, frames});
    GateContext *context = tape_scratch(tape, sizeof *context);
    context->weight = summed_weight(tape, weight);
    context->a_b = tape_scratch(tape, (size_t)(2 * n_rows) * sizeof(float));
    gemm(false, true, n_rows, 2, head_dim, 1.0f, x->data, head_dim, context->weight, head_dim, 0.0f,
         context->a_b, 2);
    float shift[2] = {0.0f, 0.0f};
    for (int o = 0; o < GATE_OUTPUTS; o++)
        shift[o / GATE_SUMMED] += bias->data[o];
    for (int64_t n = 0; n < n_rows; n++) {
        int64_t h = n % heads, bt = n / heads;
        float *a_b = context->a_b + 2 * n;
        for (int side = 0; side < 2; side++)
            a_b[side] = 1.0f / (1.0f + expf(-(a_b[side] + shift[side])));
        out->data[(bt / frames * heads + h) * frames + bt % frames] =
            a_b[0] * (a_b[1] * scale->data[h] - 1.0f) + 2.0f;
    }
    tape_record(tape, &position_gate_operator, out, (Tensor *[]){x, weight, bias, scale}, 4, context);
    return out;
}
