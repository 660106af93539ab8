#include "models/pair_head.h"

#include <math.h>

#include "tensor/ops.h"

PairHead pair_head_declare(Scope scope, int64_t dim)
{
    PairHead head = {affine_declare(scope_enter(&scope, "enrol"), 2, (int64_t[]){dim, dim}, true),
                     affine_declare(scope_enter(&scope, "decide"), 2, (int64_t[]){2, dim}, true)};
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
