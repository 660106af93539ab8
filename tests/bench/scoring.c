// EER and minDCF of a million trials.
#include <stdbool.h>

#include "base/memory.h"
#include "base/rng.h"
#include "bench.h"
#include "score/metrics.h"

enum { N_TRIALS = 1000000, TARGETS_PER_HUNDRED = 5 };

typedef struct Trials {
    double *scores;
    bool *targets;
} Trials;

static void evaluate(void *context)
{
    const Trials *trials = context;
    DetCurve curve;
    if (det_curve_create(trials->scores, trials->targets, N_TRIALS, &curve, NULL) < 0)
        return;
    det_eer(&curve, NULL);
    det_min_dcf(&curve, 0.01);
    det_curve_release(&curve);
}

int main(void)
{
    Trials trials = {mem_alloc(N_TRIALS, sizeof(double)), mem_alloc(N_TRIALS, sizeof(bool))};
    Rng rng = rng_stream(1, "bench scoring", 0, 0);
    for (int i = 0; i < N_TRIALS; i++) {
        trials.targets[i] = i % 100 < TARGETS_PER_HUNDRED;
        trials.scores[i] = rng_normal(&rng) + (trials.targets[i] ? 3 : 0);
    }
    bench_run("EER and minDCF, 1 000 000 trials", 3, evaluate, &trials);
    mem_free(trials.scores);
    mem_free(trials.targets);
    return 0;
}
