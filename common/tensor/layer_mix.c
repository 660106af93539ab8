// Pooling operators of the MHFA back end: a weighted sum over hidden layers, and one over time per head.
#include <assert.h>
#include <math.h>
#include <string.h>
#include "tensor/attention.h"
#include "tensor/gemm.h"

static void layer_mix_backward(Tape *tape, const Node *node)
{
    const float *share = node->context; // [L], softmax(weights)
    const float *d_out = node->output->grad;
    int n_layers = node->n_inputs - 1;
    int64_t n = tensor_size(node->output);
    double dot[NODE_MAX_INPUTS], mean = 0.0;
    float *d_weights = tape_grad(tape, node->inputs[n_layers]);
    for (int l = 0; l < n_layers; l++) {
        const float *x = node->inputs[l]->data;
        float *d_x = tape_grad(tape, node->inputs[l]);
        double sum = 0.0;
#pragma omp parallel for simd reduction(+ : sum) schedule(static)
        for (int64_t i = 0; i < n; i++)
            sum += (double)d_out[i] * (double)x[i];
        for (int64_t i = 0; d_x && i < n; i++)
            d_x[i] += share[l] * d_out[i];
        dot[l] = sum;
        mean += share[l] * sum;
    }
    for (int l = 0; d_weights && l < n_layers; l++)
        d_weights[l] += (float)(share[l] * (dot[l] - mean));
}

static const Operator layer_mix_operator = {"layer_mix", layer_mix_backward};

static float *softmax_of(Tape *tape, const Tensor *weights) // [L]
{
    int64_t n = tensor_size(weights);
    float *share = tape_scratch(tape, (size_t)n * sizeof(float));
    float peak = weights->data[0];
    double sum = 0.0;
    for (int64_t l = 1; l < n; l++)
        peak = fmaxf(peak, weights->data[l]);
    for (int64_t l = 0; l < n; l++)
        sum += exp((double)(weights->data[l] - peak));
    for (int64_t l = 0; l < n; l++)
        share[l] = (float)(exp((double)(weights->data[l] - peak)) / sum);
    return share;
}

Tensor *op_layer_mix(Tape *tape, Tensor *const *xs, int n_layers, Tensor *weights)
{
    assert(n_layers > 0 && n_layers < NODE_MAX_INPUTS && tensor_size(weights) == n_layers);
    Tensor *inputs[NODE_MAX_INPUTS];
    memcpy(inputs, xs, (size_t)n_layers * sizeof *inputs);
    inputs[n_layers] = weights;
    Tensor *out = tape_tensor_like(tape, xs[0]);
    float *share = softmax_of(tape, weights);
    int64_t n = tensor_size(out);
    enum { BLOCK = 4096 }; // elements: the sum stays in cache while the layers pass by
#pragma omp parallel for schedule(static)
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t end = start + BLOCK < n ? start + BLOCK : n;
        for (int64_t i = start; i < end; i++)
            out->data[i] = share[0] * xs[0]->data[i];
        for (int l = 1; l < n_layers; l++)
            for (int64_t i = start; i < end; i++)
                out->data[i] += share[l] * xs[l]->data[i];
    }
    tape_record(tape, &layer_mix_operator, out, inputs, n_layers + 1, share);
    return out;
}

static void multi_head_pool_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0], *weights = node->inputs[1];
    int64_t frames = x->dim[1], channels = x->dim[2], heads = weights->dim[2];
    float *d_x = tape_grad(tape, x), *d_weights = tape_grad(tape, weights);
    for (int64_t b = 0; b < x->dim[0]; b++) {
        const float *d_out = node->output->grad + b * heads * channels; // [H, C]
        if (d_x)
            gemm(false, false, frames, channels, heads, 1.0f, weights->data + b * frames * heads, heads,
                 d_out, channels, 1.0f, d_x + b * frames * channels, channels);
        if (d_weights)
            gemm(false, true, frames, heads, channels, 1.0f, x->data + b * frames * channels, channels, d_out,
                 channels, 1.0f, d_weights + b * frames * heads, heads);
    }
}

static const Operator multi_head_pool_operator = {"multi_head_pool", multi_head_pool_backward};

Tensor *op_multi_head_pool(Tape *tape, Tensor *x, Tensor *weights)
{
    int64_t batch = x->dim[0], frames = x->dim[1], channels = x->dim[2], heads = weights->dim[2];
    assert(weights->dim[0] == batch && weights->dim[1] == frames);
    Tensor *out = tape_tensor(tape, 2, (int64_t[]){batch, heads * channels});
    for (int64_t b = 0; b < batch; b++)
        gemm(true, false, heads, channels, frames, 1.0f, weights->data + b * frames * heads, heads,
             x->data + b * frames * channels, channels, 0.0f, out->data + b * heads * channels, channels);
    tape_record(tape, &multi_head_pool_operator, out, (Tensor *[]){x, weights}, 2, NULL);
    return out;
}
