// The pair head learns on the batch (Go et al. 2024): an utterance and the next view of its pseudo-speaker
// are a pair of one speaker, an utterance and a hard negative a pair of two: the most similar utterance of
// another pseudo-speaker that is less similar than the next view is. (A negative that is more similar would
// teach the head that similar means different: this choice brought the EER of the head alone from 84 to 27 %
// on LibriSpeech's pseudo-labels, its start as a distance to 13 %. Schroff et al. 2015 call these semi-hard.)
// With V views of C pseudo-speakers that is (V - 1) C against V C pairs; the paper's 2 views make it 1 to 2.
#include "base/memory.h"
#include "models/pair_head.h"
#include "losses/plain.h"
#include "losses/unit_rows.h"
#include "objectives/kinds.h"
#include "tensor/gemm.h"

typedef struct Pair {
    Objective base;
    PairHead head;
    int64_t n_views;
} Pair;

static Objective *pair_create(const ObjectiveOptions *options, const Scope *scope, Error *error)
{
    (void)error;
    Pair *pair = mem_zero(1, sizeof *pair);
    pair->head = pair_head_declare(scope_enter(scope, PAIR_HEAD_NAME), options->embedding_dim);
    pair->n_views = options->n_views;
    return &pair->base;
}

// The row of another class that is most similar to row i among those below `ceiling`; where none is, the
// least similar one; where all rows are of one class, i itself.
static int64_t hard_negative(const float *cosine, const int64_t *labels, int64_t n, int64_t i, float ceiling)
{
    int64_t hardest = i, easiest = i;
    for (int64_t j = 0; j < n; j++) {
        if (labels[j] == labels[i])
            continue;
        if (cosine[j] < ceiling && (hardest == i || cosine[j] > cosine[hardest]))
            hardest = j;
        if (easiest == i || cosine[j] < cosine[easiest])
            easiest = j;
    }
    return hardest != i ? hardest : easiest;
}

// negatives [N]: each row's; row i's next view is row i + per_view.
static void find_negatives(Tape *tape, const Tensor *x, const int64_t *labels, int64_t per_view,
                           int64_t *negatives)
{
    int64_t n = x->dim[0], dim = x->dim[1];
    TapeMark mark = tape_scratch_begin(tape);
    float *unit = tape_scratch(tape, (size_t)(n * dim) * sizeof(float));
    float *norm = tape_scratch(tape, (size_t)n * sizeof(float));
    float *cosine = tape_scratch(tape, (size_t)(n * n) * sizeof(float));
    unit_rows(x->data, n, dim, unit, norm);
    gemm(false, true, n, n, dim, 1, unit, dim, unit, dim, 0, cosine, n);
    for (int64_t i = 0; i < n; i++) {
        const float *row = cosine + i * n;
        negatives[i] = hard_negative(row, labels, n, i, row[(i + per_view) % n]);
    }
    tape_scratch_end(tape, mark);
}

static Tensor *pair_loss(Objective *objective, Tape *tape, const ObjectiveBatch *batch,
                         ObjectiveReport *report)
{
    (void)report;
    const Pair *pair = (const Pair *)objective;
    Tensor *x = batch->embeddings;
    int64_t n = x->dim[0], per_view = n / pair->n_views, n_same = n - per_view, n_pairs = 0;
    int64_t *negatives = tape_scratch(tape, (size_t)n * sizeof(int64_t));
    int64_t *enrol = tape_scratch(tape, (size_t)(n_same + n) * sizeof(int64_t));
    int64_t *test = tape_scratch(tape, (size_t)(n_same + n) * sizeof(int64_t));
    int64_t *is_same = tape_scratch(tape, (size_t)(n_same + n) * sizeof(int64_t));
    find_negatives(tape, x, batch->labels, per_view, negatives);
    for (int64_t i = 0; i < n_same; i++, n_pairs++) {
        enrol[n_pairs] = i;
        test[n_pairs] = i + per_view;
        is_same[n_pairs] = 1;
    }
    for (int64_t i = 0; i < n; i++) {
        if (negatives[i] == i)
            continue;
        enrol[n_pairs] = negatives[i];
        test[n_pairs] = i;
        is_same[n_pairs++] = 0;
    }
    Tensor *logits = pair_head_forward(&pair->head, tape, op_gather_first(tape, x, enrol, n_pairs),
                                       op_gather_first(tape, x, test, n_pairs));
    return cross_entropy_loss(tape, logits, is_same);
}

const ObjectiveKind pair_objective = {
    .name = "pair", .uses_pairs = true, .create = pair_create, .loss = pair_loss};
