// In-batch cross-entropy with an additive angular margin (Go et al. 2024): each utterance of view 0 is to
// find its own pseudo-speaker among all of view 1, and the other way round. The softmax dwells on the nearest
// others, the hard negatives. The paper's margin is 0.2 and its scale 10. Of more than two views, each meets
// the next.
#include "base/memory.h"
#include "objectives/kinds.h"
#include "tensor/ops.h"

static const AamSoftmax MARGIN = {.margin = 0.2, .scale = 10};

typedef struct InBatch {
    Objective base;
    int64_t n_views;
} InBatch;

static Objective *in_batch_create(const ObjectiveOptions *options, const Scope *scope, Error *error)
{
    (void)scope, (void)error;
    InBatch *in_batch = mem_zero(1, sizeof *in_batch);
    in_batch->n_views = options->n_views;
    return &in_batch->base;
}

static Tensor *in_batch_loss(Objective *objective, Tape *tape, const ObjectiveBatch *batch,
                             ObjectiveReport *report)
{
    (void)report;
    int64_t n_views = ((InBatch *)objective)->n_views, n = batch->embeddings->dim[0] / n_views;
    int64_t *own = tape_scratch(tape, (size_t)n * sizeof(int64_t));
    Tensor *sum = NULL;
    for (int64_t c = 0; c < n; c++)
        own[c] = c;
    for (int64_t v = 0; v + 1 < n_views; v++) {
        Tensor *a = op_slice_first(tape, batch->embeddings, v * n, n);
        Tensor *b = op_slice_first(tape, batch->embeddings, (v + 1) * n, n);
        Tensor *both = op_add(tape, aam_softmax_loss(tape, a, b, own, &MARGIN, NULL),
                              aam_softmax_loss(tape, b, a, own, &MARGIN, NULL));
        sum = sum ? op_add(tape, sum, both) : both;
    }
    return op_scale(tape, sum, 0.5f / (float)(n_views - 1));
}

const ObjectiveKind in_batch_objective = {
    .name = "in-batch", .uses_pairs = true, .create = in_batch_create, .loss = in_batch_loss};
