#include "nn/attentive_pool.h"

static AttentivePool declare(Scope hidden, Scope scores, int64_t channels, int64_t bottleneck,
                             bool global_context)
{
    int64_t seen = global_context ? 3 * channels : channels;
    return (AttentivePool){.hidden = affine_declare(hidden, 3, (int64_t[]){bottleneck, seen, 1}, true),
                           .scores = affine_declare(scores, 3, (int64_t[]){channels, bottleneck, 1}, true),
                           .global_context = global_context};
}

AttentivePool attentive_pool_declare(Scope scope, int64_t channels, int64_t bottleneck, bool global_context)
{
    AttentivePool pool = declare(scope_enter(&scope, "linear1"), scope_enter(&scope, "linear2"), channels,
                                 bottleneck, global_context);
    pool.unbiased = true;
    pool.variance_floor = 1e-7f;
    return pool;
}

AttentivePool attentive_pool_declare_speechbrain(Scope scope, int64_t channels, int64_t bottleneck)
{
    AttentivePool pool = declare(scope_enter(&scope, "tdnn.conv.conv"), scope_enter(&scope, "conv.conv"),
                                 channels, bottleneck, true);
    pool.norm = batch_norm_declare(scope_enter(&scope, "tdnn.norm.norm"), bottleneck);
    pool.variance_floor = 1e-12f;
    return pool;
}

// The context's share of the product is the same for all frames, so it is computed once per utterance.
static Tensor *hidden_in_context(Tape *tape, Tensor *x, const AttentivePool *pool)
{
    Tensor *weight = &pool->hidden.weight->tensor;
    int64_t channels = tensor_cols(x), bottleneck = weight->dim[0];
    Tensor *context = op_mean_std_time(tape, x, pool->unbiased, pool->variance_floor);
    Tensor *flat = op_reshape(tape, weight, 2, (int64_t[]){bottleneck, 3 * channels});
    Tensor *hidden = op_linear(tape, x, op_slice_last(tape, flat, 0, channels), NULL);
    Tensor *of_context = op_slice_last(tape, flat, channels, 2 * channels);
    Tensor *shift = op_linear(tape, context, of_context, &pool->hidden.bias->tensor);
    return op_add_channels(tape, hidden, shift);
}

Tensor *attentive_pool(Tape *tape, Tensor *x, const AttentivePool *pool, bool training)
{
    Tensor *hidden =
        pool->global_context ? hidden_in_context(tape, x, pool) : affine_linear(tape, x, &pool->hidden);
    if (pool->norm.weight)
        hidden = batch_norm_apply(tape, hidden, &pool->norm, training, true);
    Tensor *scores = affine_linear(tape, op_tanh(tape, hidden), &pool->scores);
    return op_weighted_mean_std(tape, x, op_softmax_time(tape, scores), pool->variance_floor);
}
