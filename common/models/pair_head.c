#include "models/pair_head.h"

#include <math.h>
#include <stdio.h>

#include "tensor/attention.h"

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
    int64_t tokens = PAIR_TOKENS * PAIR_WIDTH;
    return (PairHead){declare(parameters, prefix, "query", tokens, dim, group),
                      declare(parameters, prefix, "key", tokens, dim, group),
                      declare(parameters, prefix, "value", tokens, dim, group),
                      declare(parameters, prefix, "out", dim, tokens, group),
                      declare(parameters, prefix, "decide", 2, dim, group)};
}

static Tensor *tokens(Tape *tape, Tensor *x, const Affine *layer)
{
    return op_reshape(tape, affine_linear(tape, x, layer), 3,
                      (int64_t[]){x->dim[0], PAIR_TOKENS, PAIR_WIDTH});
}

static Tensor *scaled(Tape *tape, Tensor *x)
{
    return op_scale(tape, op_l2_normalize(tape, x, 1e-12f), sqrtf((float)tensor_cols(x)));
}

Tensor *pair_head_forward(const PairHead *head, Tape *tape, Tensor *enrol, Tensor *test)
{
    Attention attention = {.heads = PAIR_HEADS};
    enrol = scaled(tape, enrol);
    test = scaled(tape, test);
    Tensor *heard = op_attention(tape, tokens(tape, test, &head->query), tokens(tape, enrol, &head->key),
                                 tokens(tape, enrol, &head->value), NULL, NULL, &attention);
    heard = op_reshape(tape, heard, 2, (int64_t[]){test->dim[0], PAIR_TOKENS * PAIR_WIDTH});
    Tensor *joined = op_relu(tape, op_add(tape, test, affine_linear(tape, heard, &head->out)));
    return affine_linear(tape, joined, &head->decide);
}
