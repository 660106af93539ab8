// The supervised contrastive loss on the embeddings (losses/supcon.h), plain and with class-aware attention.
// All pseudo-speakers of a batch being different, plain supcon of two views is NT-Xent.
#include "base/memory.h"
#include "losses/supcon.h"
#include "objectives/kinds.h"

typedef struct Contrast {
    Objective base;
    SupCon options;
} Contrast;

static Objective *create(const ObjectiveOptions *options, bool class_aware)
{
    Contrast *contrast = mem_zero(1, sizeof *contrast);
    contrast->options = options->contrast;
    contrast->options.class_aware = class_aware;
    return &contrast->base;
}

static Objective *create_plain(const ObjectiveOptions *options, const Scope *scope, Error *error)
{
    (void)scope, (void)error;
    return create(options, false);
}

static Objective *create_class_aware(const ObjectiveOptions *options, const Scope *scope, Error *error)
{
    (void)scope, (void)error;
    return create(options, true);
}

static Tensor *contrast_loss(Objective *objective, Tape *tape, const ObjectiveBatch *batch,
                             ObjectiveReport *report)
{
    (void)report;
    return supcon_loss(tape, batch->embeddings, batch->labels, &((Contrast *)objective)->options);
}

const ObjectiveKind supcon_objective = {
    .name = "supcon", .uses_pairs = true, .create = create_plain, .loss = contrast_loss};
const ObjectiveKind supcon_caa_objective = {
    .name = "supcon-caa", .uses_pairs = true, .create = create_class_aware, .loss = contrast_loss};
