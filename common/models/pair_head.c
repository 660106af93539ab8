#include "models/pair_head.h"

#include <math.h>
#include <stdio.h>

#include "tensor/ops.h"

static Affine declare(Parameters *parameters, const char *prefix, const char *name, int64_t out, int64_t in,
                      int group)
{
    char whole[128];
    snprintf(whole, sizeof whole, "%s%s", prefix, name);
    Affine layer = affine_declare(parameters, whole, 2, (int64_t[]){out, in}, true);
    layer.weight->group = layer.bias->group = group;
    return layer;
}

PairHead pair_head_declare(Parameters *parameters, const char *prefix, int64_t dim, int group)
{
    return (PairHead){declare(parameters, prefix, "value", PAIR_WIDTH, dim, group),
                      declare(parameters, prefix, "out", dim, PAIR_WIDTH, group),
                      declare(parameters, prefix, "decide", 2, dim, group)};
}

static Tensor *scaled(Tape *tape, Tensor *x)
{
    return op_scale(tape, op_l2_normalize(tape, x, 1e-12f), sqrtf((float)tensor_cols(x)));
}

Tensor *pair_head_forward(const PairHead *head, Tape *tape, Tensor *enrol, Tensor *test)
{
    Tensor *heard = affine_linear(tape, affine_linear(tape, scaled(tape, enrol), &head->value), &head->out);
    Tensor *joined = op_relu(tape, op_add(tape, scaled(tape, test), heard));
    return affine_linear(tape, joined, &head->decide);
}
