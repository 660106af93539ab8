// Operators on whole frames of a time series, and on waveforms.
#include <assert.h>
#include <math.h>
#include <string.h>
#include "tensor/attention.h"

static void crop_time_backward(Tape *tape, const Node *node)
{
    const Tensor *x = node->inputs[0], *out = node->output;
    float *d_x = tape_grad(tape, node->inputs[0]);
    int64_t kept = out->dim[1] * out->dim[2], whole = x->dim[1] * x->dim[2];
    for (int64_t b = 0; d_x && b < x->dim[0]; b++)
        for (int64_t i = 0; i < kept; i++)
            d_x[b * whole + i] += out->grad[b * kept + i];
}

static const Operator crop_time_operator = {"crop_time", crop_time_backward};

Tensor *op_crop_time(Tape *tape, Tensor *x, int64_t n_frames)
{
    assert(x->n_dims == 3 && n_frames <= x->dim[1]);
    Tensor *out = tape_tensor(tape, 3, (int64_t[]){x->dim[0], n_frames, x->dim[2]});
    int64_t kept = n_frames * x->dim[2], whole = x->dim[1] * x->dim[2];
    for (int64_t b = 0; b < x->dim[0]; b++)
        memcpy(out->data + b * kept, x->data + b * whole, (size_t)kept * sizeof(float));
    tape_record(tape, &crop_time_operator, out, &x, 1, NULL);
    return out;
}

static void mask_frames_backward(Tape *tape, const Node *node)
{
    const bool *mask = node->context; // [B * T]
    float *d_x = tape_grad(tape, node->inputs[0]), *d_embedding = tape_grad(tape, node->inputs[1]);
    int64_t channels = tensor_cols(node->output), rows = tensor_rows(node->output);
    for (int64_t r = 0; r < rows; r++) {
        float *target = mask[r] ? d_embedding : d_x ? d_x + r * channels : NULL;
        for (int64_t c = 0; target && c < channels; c++)
            target[c] += node->output->grad[r * channels + c];
    }
}

static const Operator mask_frames_operator = {"mask_frames", mask_frames_backward};

Tensor *op_mask_frames(Tape *tape, Tensor *x, const bool *mask, Tensor *embedding)
{
    int64_t channels = tensor_cols(x), rows = tensor_rows(x);
    assert(tensor_size(embedding) == channels);
    Tensor *out = tape_tensor_like(tape, x);
    bool *copy = tape_scratch(tape, (size_t)rows * sizeof *copy);
    memcpy(copy, mask, (size_t)rows * sizeof *copy);
    for (int64_t r = 0; r < rows; r++)
        memcpy(out->data + r * channels, mask[r] ? embedding->data : x->data + r * channels,
               (size_t)channels * sizeof(float));
    tape_record(tape, &mask_frames_operator, out, (Tensor *[]){x, embedding}, 2, copy);
    return out;
}

Tensor *op_standardize_rows(Tape *tape, Tensor *x, float epsilon)
{
    int64_t n = tensor_cols(x), rows = tensor_rows(x);
    Tensor *out = tape_tensor_like(tape, x);
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *row = x->data + r * n;
        double sum = 0.0, squares = 0.0;
        for (int64_t i = 0; i < n; i++)
            sum += row[i];
        double mean = sum / (double)n;
        for (int64_t i = 0; i < n; i++)
            squares += (row[i] - mean) * (row[i] - mean);
        float scale = (float)(1.0 / sqrt(squares / (double)n + (double)epsilon));
        for (int64_t i = 0; i < n; i++)
            out->data[r * n + i] = (row[i] - (float)mean) * scale;
    }
    return out;
}
