// MFCon (Dixit et al. 2024): the supervised contrastive loss on every intermediate feature map of the
// encoder, so that early blocks learn to tell speakers apart, too. What the paper leaves open is ours: a
// map's mean and standard deviation over time, a linear projection to 128 dimensions
// ("classifier.mfcon.<map>"), the mean over maps.
#include <stdio.h>

#include "base/memory.h"
#include "losses/supcon.h"
#include "models/encoder.h"
#include "nn/layers.h"
#include "objectives/kinds.h"

enum { PROJECTION = 128 };
static const float VARIANCE_FLOOR = 1e-7f;

typedef struct Mfcon {
    Objective base;
    SupCon options;
    int n_maps;
    Affine project[ENCODER_MAX_MAPS];
} Mfcon;

static Objective *mfcon_create(const ObjectiveOptions *options, const Scope *scope, Error *error)
{
    if (options->n_maps == 0) {
        error_set(error, "objective mfcon: the encoder shows no feature maps");
        return NULL;
    }
    Mfcon *mfcon = mem_zero(1, sizeof *mfcon);
    mfcon->options = options->contrast;
    mfcon->n_maps = options->n_maps;
    for (int m = 0; m < mfcon->n_maps; m++)
        mfcon->project[m] = affine_declare(scope_enter(scope, "mfcon.%d", m), 2,
                                           (int64_t[]){PROJECTION, 2 * options->map_dim[m]}, true);
    return &mfcon->base;
}

static Tensor *mfcon_loss(Objective *objective, Tape *tape, const ObjectiveBatch *batch,
                          ObjectiveReport *report)
{
    (void)report;
    const Mfcon *mfcon = (const Mfcon *)objective;
    Tensor *sum = NULL;
    for (int m = 0; m < mfcon->n_maps; m++) {
        Tensor *pooled = op_mean_std_time(tape, batch->maps[m], true, VARIANCE_FLOOR);
        Tensor *projected = affine_linear(tape, pooled, &mfcon->project[m]);
        Tensor *loss = supcon_loss(tape, projected, batch->labels, &mfcon->options);
        sum = sum ? op_add(tape, sum, loss) : loss;
    }
    return op_scale(tape, sum, 1 / (float)mfcon->n_maps);
}

const ObjectiveKind mfcon_objective = {
    .name = "mfcon", .uses_pairs = true, .uses_maps = true, .create = mfcon_create, .loss = mfcon_loss};
