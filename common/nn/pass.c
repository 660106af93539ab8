#include "nn/pass.h"

#include "tensor/ops.h"

Pass pass_begin(Tape *tape, const ForwardMode *mode, const char *consumer)
{
    return (Pass){.tape = tape, .mode = mode, .consumer = consumer};
}

bool pass_draws(const Pass *pass, double probability)
{
    return pass->mode->training && probability > 0;
}

Rng pass_stream(Pass *pass)
{
    return rng_stream(pass->mode->rng.key, pass->consumer, pass->mode->rng.counter, pass->n_streams++);
}

Tensor *pass_dropout(Pass *pass, Tensor *x, double probability)
{
    return pass_draws(pass, probability) ? op_dropout(pass->tape, x, (float)probability, pass_stream(pass))
                                         : x;
}

bool pass_chance(Pass *pass, double probability)
{
    if (!pass_draws(pass, probability))
        return false;
    Rng rng = pass_stream(pass);
    return rng_uniform(&rng) < probability;
}
