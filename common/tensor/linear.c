// R rows, I inputs, O outputs.
#include <assert.h>

#include "tensor/gemm.h"
#include "tensor/ops.h"

// d_bias[o] += sum over rows of d_y[r, o]; sums in double.
static void bias_backward(Tape *tape, Tensor *bias, const float *d_y, int64_t rows)
{
    float *d_bias = tape_grad(tape, bias);
    if (!d_bias)
        return;
    int64_t cols = tensor_size(bias);
#pragma omp parallel for schedule(static) if (rows * cols > 65536)
    for (int64_t from = 0; from < cols; from += 16) {
        double sums[16] = {0};
        int64_t width = cols - from < 16 ? cols - from : 16;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t o = 0; o < width; o++)
                sums[o] += d_y[r * cols + from + o];
        for (int64_t o = 0; o < width; o++)
            d_bias[from + o] += (float)sums[o];
    }
}

static void linear_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0], *weight = node->inputs[1];
    int64_t rows = tensor_rows(x), in = tensor_cols(x), out = weight->dim[0];
    const float *d_y = node->output->grad;
    float *d_x = tape_grad(tape, x), *d_weight = tape_grad(tape, weight);
    if (d_x)
        gemm(false, false, rows, in, out, 1, d_y, out, weight->data, in, 1, d_x, in);
    if (d_weight)
        gemm(true, false, out, in, rows, 1, d_y, out, x->data, in, 1, d_weight, in);
    if (node->inputs[2])
        bias_backward(tape, node->inputs[2], d_y, rows);
}

static const Operator LINEAR = {"linear", linear_backward};

// y[r, o] = sum_i x[r, i] w[o, i] + b[o]
Tensor *op_linear(Tape *tape, Tensor *x, Tensor *weight, Tensor *bias)
{
    int64_t rows = tensor_rows(x), in = tensor_cols(x), out = weight->dim[0], dims[TENSOR_MAX_DIMS];
    assert(tensor_size(weight) == in * out);
    for (int d = 0; d < TENSOR_MAX_DIMS; d++)
        dims[d] = x->dim[d];
    dims[x->n_dims - 1] = out;
    Tensor *y = tape_tensor(tape, x->n_dims, dims);
    for (int64_t r = 0; bias && r < rows; r++)
        for (int64_t o = 0; o < out; o++)
            y->data[r * out + o] = bias->data[o];
    gemm(false, true, rows, out, in, 1, x->data, in, weight->data, in, bias ? 1 : 0, y->data, out);
    tape_record(tape, &LINEAR, y, (Tensor *[]){x, weight, bias}, 3, NULL);
    return y;
}
