// Views and copies. R rows (all dimensions but the last), C columns (the last dimension).
#include <assert.h>
#include <string.h>

#include "tensor/ops.h"
#include "tensor/rows.h"

enum { STRETCH = 1 << 12 }; // elements of a flat array that are taken as one row

static void add_into(float *sum, const float *x, int64_t n)
{
    int64_t rows = n / STRETCH, done = rows * STRETCH;
    rows_add(sum, STRETCH, x, STRETCH, rows, STRETCH);
    rows_add(sum + done, 0, x + done, 0, 1, n - done);
}

// --- shared data: reshape, rows of the first dimension

// context: where the output begins in the input, in elements
static void view_backward(Tape *tape, const Node *node)
{
    int64_t start = *(const int64_t *)node->context;
    add_into(tape_grad(tape, node->inputs[0]) + start, node->output->grad, tensor_size(node->output));
}

static const Operator VIEW = {"view", view_backward};

static Tensor *view(Tape *tape, Tensor *x, int n_dims, const int64_t *dims, int64_t start)
{
    Tensor *y = tape_scratch(tape, sizeof *y);
    *y = (Tensor){.data = x->data + start, .n_dims = n_dims, .dim = {1, 1, 1, 1}};
    for (int d = 0; d < n_dims; d++)
        y->dim[d] = dims[d];
    int64_t *context = tape_scratch(tape, sizeof *context);
    *context = start;
    tape_record(tape, &VIEW, y, &x, 1, context);
    return y;
}

Tensor *op_reshape(Tape *tape, Tensor *x, int n_dims, const int64_t *dims)
{
    Tensor *y = view(tape, x, n_dims, dims, 0);
    assert(tensor_size(y) == tensor_size(x));
    return y;
}

Tensor *op_slice_first(Tape *tape, Tensor *x, int64_t start, int64_t count)
{
    assert(start >= 0 && start + count <= x->dim[0]);
    int64_t dims[TENSOR_MAX_DIMS] = {count, x->dim[1], x->dim[2], x->dim[3]};
    return view(tape, x, x->n_dims, dims, start * (tensor_size(x) / x->dim[0]));
}

// --- batch concatenation

static void concat_first_backward(Tape *tape, const Node *node)
{
    const float *d_y = node->output->grad;
    for (int k = 0; k < node->n_inputs; k++) {
        float *d_x = tape_grad(tape, node->inputs[k]);
        int64_t n = tensor_size(node->inputs[k]);
        if (d_x)
            add_into(d_x, d_y, n);
        d_y += n;
    }
}

static const Operator CONCAT_FIRST = {"concat_first", concat_first_backward};

Tensor *op_concat_first(Tape *tape, Tensor *const *xs, int n)
{
    int64_t dims[TENSOR_MAX_DIMS] = {0, xs[0]->dim[1], xs[0]->dim[2], xs[0]->dim[3]};
    for (int k = 0; k < n; k++)
        dims[0] += xs[k]->dim[0];
    Tensor *y = tape_tensor(tape, xs[0]->n_dims, dims);
    float *at = y->data;
    for (int k = 0; k < n; k++) {
        memcpy(at, xs[k]->data, (size_t)tensor_size(xs[k]) * sizeof(float));
        at += tensor_size(xs[k]);
    }
    tape_record(tape, &CONCAT_FIRST, y, xs, n, NULL);
    return y;
}

typedef struct Gather {
    const int64_t *index;
    int64_t size; // of a row
} Gather;

static void gather_first_backward(Tape *tape, const Node *node)
{
    const Gather *gather = node->context;
    float *d_x = tape_grad(tape, node->inputs[0]);
    for (int64_t i = 0; i < node->output->dim[0]; i++)
        add_into(d_x + gather->index[i] * gather->size, node->output->grad + i * gather->size, gather->size);
}

static const Operator GATHER_FIRST = {"gather_first", gather_first_backward};

Tensor *op_gather_first(Tape *tape, Tensor *x, const int64_t *index, int64_t n)
{
    int64_t dims[TENSOR_MAX_DIMS] = {n, x->dim[1], x->dim[2], x->dim[3]};
    Tensor *y = tape_tensor(tape, x->n_dims, dims);
    Gather *gather = tape_scratch(tape, sizeof *gather);
    int64_t *copy = tape_scratch(tape, (size_t)n * sizeof *copy);
    memcpy(copy, index, (size_t)n * sizeof *copy);
    *gather = (Gather){copy, tensor_size(x) / x->dim[0]};
    for (int64_t i = 0; i < n; i++) {
        assert(index[i] >= 0 && index[i] < x->dim[0]);
        memcpy(y->data + i * gather->size, x->data + index[i] * gather->size,
               (size_t)gather->size * sizeof(float));
    }
    tape_record(tape, &GATHER_FIRST, y, &x, 1, gather);
    return y;
}

// --- channels

static void slice_last_backward(Tape *tape, const Node *node)
{
    int64_t start = *(const int64_t *)node->context, rows = tensor_rows(node->output);
    int64_t count = tensor_cols(node->output), cols = tensor_cols(node->inputs[0]);
    float *d_x = tape_grad(tape, node->inputs[0]);
    rows_add(d_x + start, cols, node->output->grad, count, rows, count);
}

static const Operator SLICE_LAST = {"slice_last", slice_last_backward};

Tensor *op_slice_last(Tape *tape, Tensor *x, int64_t start, int64_t count)
{
    int64_t rows = tensor_rows(x), cols = tensor_cols(x), dims[TENSOR_MAX_DIMS];
    assert(start >= 0 && start + count <= cols);
    memcpy(dims, x->dim, sizeof dims);
    dims[x->n_dims - 1] = count;
    Tensor *y = tape_tensor(tape, x->n_dims, dims);
    rows_copy(y->data, count, x->data + start, cols, rows, count);
    int64_t *context = tape_scratch(tape, sizeof *context);
    *context = start;
    tape_record(tape, &SLICE_LAST, y, &x, 1, context);
    return y;
}

static void concat_last_backward(Tape *tape, const Node *node)
{
    int64_t rows = tensor_rows(node->output), cols = tensor_cols(node->output), start = 0;
    for (int k = 0; k < node->n_inputs; k++) {
        int64_t count = tensor_cols(node->inputs[k]);
        bool fresh;
        float *d_x = tape_grad_fresh(tape, node->inputs[k], &fresh);
        if (d_x)
            (fresh ? rows_copy : rows_add)(d_x, count, node->output->grad + start, cols, rows, count);
        start += count;
    }
}

static const Operator CONCAT_LAST = {"concat_last", concat_last_backward};

Tensor *op_concat_last(Tape *tape, Tensor *const *xs, int n)
{
    int64_t cols = 0, rows = tensor_rows(xs[0]), start = 0, dims[TENSOR_MAX_DIMS];
    for (int k = 0; k < n; k++)
        cols += tensor_cols(xs[k]);
    memcpy(dims, xs[0]->dim, sizeof dims);
    dims[xs[0]->n_dims - 1] = cols;
    Tensor *y = tape_tensor(tape, xs[0]->n_dims, dims);
    for (int k = 0; k < n; k++) {
        int64_t count = tensor_cols(xs[k]);
        rows_copy(y->data + start, cols, xs[k]->data, count, rows, count);
        start += count;
    }
    tape_record(tape, &CONCAT_LAST, y, xs, n, NULL);
    return y;
}

// --- the last two dimensions

// to [n, cols, rows] = from [n, rows, cols], or added to it.
static void swap(const float *from, int64_t n, int64_t rows, int64_t cols, float *to, bool add)
{
#pragma omp parallel for schedule(static) if (n * rows * cols > PARALLEL_FROM)
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++) {
                float *target = to + (i * cols + c) * rows + r;
                float value = from[(i * rows + r) * cols + c];
                *target = add ? *target + value : value;
            }
}

static void swap_last_backward(Tape *tape, const Node *node)
{
    const Tensor *y = node->output;
    int64_t rows = y->dim[y->n_dims - 2], cols = y->dim[y->n_dims - 1];
    swap(y->grad, tensor_size(y) / (rows * cols), rows, cols, tape_grad(tape, node->inputs[0]), true);
}

static const Operator SWAP_LAST = {"swap_last", swap_last_backward};

Tensor *op_swap_last(Tape *tape, Tensor *x)
{
    int64_t rows = x->dim[x->n_dims - 2], cols = x->dim[x->n_dims - 1], dims[TENSOR_MAX_DIMS];
    memcpy(dims, x->dim, sizeof dims);
    dims[x->n_dims - 2] = cols;
    dims[x->n_dims - 1] = rows;
    Tensor *y = tape_tensor(tape, x->n_dims, dims);
    swap(x->data, tensor_size(x) / (rows * cols), rows, cols, y->data, false);
    tape_record(tape, &SWAP_LAST, y, &x, 1, NULL);
    return y;
}
