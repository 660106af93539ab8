// AAM-softmax over the pseudo-speakers (losses/aam_softmax.h): parameter "classifier.weight" [n_classes *
// subcentres, D].
#include <math.h>

#include "base/memory.h"
#include "objectives/kinds.h"

typedef struct Aam {
    Objective base;
    Parameter *classes;
    AamSoftmax options;
} Aam;

static Objective *aam_create(const ObjectiveOptions *options, const Scope *scope, Error *error)
{
    (void)error;
    Aam *aam = mem_zero(1, sizeof *aam);
    int64_t n_weights = options->n_classes * aam_subcentres(&options->aam);
    int64_t dims[2] = {n_weights, options->embedding_dim};
    // Xavier's normal, as the reference draws its class weights.
    Init init = {INIT_NORMAL, (float)sqrt(2.0 / (double)(dims[0] + dims[1]))};
    aam->classes = scope_parameter(scope, "weight", 2, dims, init);
    aam->options = options->aam;
    return &aam->base;
}

static Tensor *aam_loss(Objective *objective, Tape *tape, const ObjectiveBatch *batch,
                        ObjectiveReport *report)
{
    const Aam *aam = (const Aam *)objective;
    AamSoftmax options = aam->options;
    options.margin = batch->margin;
    options.gate = batch->gate;
    return aam_softmax_loss(tape, batch->embeddings, &aam->classes->tensor, batch->labels, &options,
                            &report->aam);
}

const ObjectiveKind aam_objective = {.name = "aam", .create = aam_create, .loss = aam_loss};
