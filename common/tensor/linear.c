// R rows, I inputs, O outputs.
#include <assert.h>

#include "tensor/gemm.h"
#include "tensor/ops.h"
#include "tensor/rows.h"

static void linear_backward(Tape *tape, const Node *node)
{
    Tensor *x = node->inputs[0], *weight = node->inputs[1];
    int64_t rows = tensor_rows(x), in = tensor_cols(x), out = weight->dim[0];
    const float *d_y = node->output->grad;
    bool fresh, fresh_weight;
    float *d_x = tape_grad_fresh(tape, x, &fresh), *d_weight = tape_grad_fresh(tape, weight, &fresh_weight);
    float *d_bias = tape_grad(tape, node->inputs[2]);
    if (d_x)
        gemm(false, false, rows, in, out, 1, d_y, out, weight->data, in, fresh ? 0 : 1, d_x, in);
    if (d_weight)
        gemm(true, false, out, in, rows, 1, d_y, out, x->data, in, fresh_weight ? 0 : 1, d_weight, in);
    if (d_bias)
        rows_sum(d_bias, d_y, rows, out);
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
    if (bias)
        rows_fill(y->data, out, bias->data, rows, out);
    gemm(false, true, rows, out, in, 1, x->data, in, weight->data, in, bias ? 1 : 0, y->data, out);
    tape_record(tape, &LINEAR, y, (Tensor *[]){x, weight, bias}, 3, NULL);
    return y;
}
