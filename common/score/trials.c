#include "score/trials.h"

#include "base/memory.h"

bool *trials_targets(const Trials *trials)
{
    bool *targets = mem_alloc((size_t)trials->n, sizeof(bool));
    for (int64_t t = 0; t < trials->n; t++)
        targets[t] = trials->trials[t].target;
    return targets;
}

int trials_det_curve(const Trials *trials, const double *scores, DetCurve *curve, Error *error)
{
    bool *targets = trials_targets(trials);
    int status = det_curve_create(scores, targets, trials->n, curve, error);
    mem_free(targets);
    return status;
}

void trials_release(Trials *trials)
{
    mem_free(trials->trials);
    *trials = (Trials){0};
}
