#include "nn/transformer.h"

Tensor *feed_forward(Pass *pass, Tensor *x, const FeedForward *layer)
{
    Tape *tape = pass->tape;
    x = op_activate(tape, affine_linear(tape, x, &layer->first), layer->activation);
    x = affine_linear(tape, pass_dropout(pass, x, layer->inner_dropout), &layer->second);
    return pass_dropout(pass, x, layer->dropout);
}

Attention pass_attention(Pass *pass, int64_t heads, double dropout)
{
    Attention attention = {.heads = heads};
    if (pass_draws(pass, dropout)) {
        attention.dropout = (float)dropout;
        attention.rng = pass_stream(pass);
    }
    return attention;
}
