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
    PairHead head = {declare(parameters, prefix, "enrol", dim, dim, group),
                     declare(parameters, prefix, "decide", 2, dim, group)};
    head.enrol.weight->init = head.enrol.bias->init = (Init){INIT_ZERO, 0};
    return head;
}

static Tensor *scaled(Tape *tape, Tensor *x, float sign)
{
    return op_scale(tape, op_l2_normalize(tape, x, 1e-12f), sign * sqrtf((float)tensor_cols(x)));
}

Tensor *pair_head_forward(const PairHead *head, Tape *tape, Tensor *enrol, Tensor *test)
{
    Tensor *negative = scaled(tape, enrol, -1);
    Tensor *difference = op_add(tape, scaled(tape, test, 1), negative);
    Tensor *joined = op_relu(tape, op_add(tape, difference, affine_linear(tape, negative, &head->enrol)));
    return affine_linear(tape, joined, &head->decide);
}
