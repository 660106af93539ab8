// w = g v / ||v||, one norm per index of the kept dimension (Salimans and Kingma 2016). v is seen as [A, S,
// Z]: A the dimensions before the kept one, S its size, Z those behind it.
#include <math.h>

#include "tensor/ops.h"
#include "tensor/rows.h"

typedef struct Split {
    int64_t before, size, behind;
} Split;

static Split split_at(const Tensor *v, int dim)
{
    Split s = {1, v->dim[dim], 1};
    for (int d = 0; d < dim; d++)
        s.before *= v->dim[d];
    for (int d = dim + 1; d < v->n_dims; d++)
        s.behind *= v->dim[d];
    return s;
}

typedef struct Context {
    Split split;
    double *inverse_norm; // [S]
} Context;

// d_g = <d_w, v>/||v||;  d_v = g/||v|| (d_w - <d_w, v> v / ||v||^2)
static void weight_norm_backward(Tape *tape, const Node *node)
{
    const Context *context = node->context;
    Split s = context->split;
    const float *v = node->inputs[0]->data, *g = node->inputs[1]->data, *d_w = node->output->grad;
    float *d_v = tape_grad(tape, node->inputs[0]), *d_g = tape_grad(tape, node->inputs[1]);
#pragma omp parallel for schedule(static) if (s.before * s.size * s.behind > PARALLEL_FROM)
    for (int64_t k = 0; k < s.size; k++) {
        double dot = 0, inverse = context->inverse_norm[k];
        for (int64_t a = 0; a < s.before; a++)
            for (int64_t z = 0; z < s.behind; z++)
                dot += (double)d_w[(a * s.size + k) * s.behind + z] * v[(a * s.size + k) * s.behind + z];
        if (d_g)
            d_g[k] += (float)(dot * inverse);
        float scale = (float)(g[k] * inverse), along = (float)(dot * inverse * inverse);
        for (int64_t a = 0; d_v && a < s.before; a++)
            for (int64_t z = 0; z < s.behind; z++) {
                int64_t at = (a * s.size + k) * s.behind + z;
                d_v[at] += scale * (d_w[at] - along * v[at]);
            }
    }
}

static const Operator WEIGHT_NORM = {"weight_norm", weight_norm_backward};

Tensor *op_weight_norm(Tape *tape, Tensor *v, Tensor *g, int dim)
{
    Tensor *w = tape_tensor_like(tape, v);
    Context *context = tape_scratch(tape, sizeof *context);
    Split s = context->split = split_at(v, dim);
    context->inverse_norm = tape_scratch(tape, (size_t)s.size * sizeof(double));
#pragma omp parallel for schedule(static) if (s.before * s.size * s.behind > PARALLEL_FROM)
    for (int64_t k = 0; k < s.size; k++) {
        double squares = 0;
        for (int64_t a = 0; a < s.before; a++)
            for (int64_t z = 0; z < s.behind; z++) {
                double value = v->data[(a * s.size + k) * s.behind + z];
                squares += value * value;
            }
        context->inverse_norm[k] = 1 / sqrt(squares);
        float scale = (float)(g->data[k] * context->inverse_norm[k]);
        for (int64_t a = 0; a < s.before; a++)
            for (int64_t z = 0; z < s.behind; z++)
                w->data[(a * s.size + k) * s.behind + z] = scale * v->data[(a * s.size + k) * s.behind + z];
    }
    tape_record(tape, &WEIGHT_NORM, w, (Tensor *[]){v, g}, 2, context);
    return w;
}
