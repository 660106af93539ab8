// EER and minDCF of a million trials among 1 000 speakers, and the interval of the EER.
#include <stdbool.h>

#include "base/memory.h"
#include "base/process.h"
#include "base/rng.h"
#include "bench.h"
#include "score/eer_interval.h"
#include "score/metrics.h"

enum { N_TRIALS = 1000000, TARGETS_PER_HUNDRED = 5, SPEAKERS = 1000, EACH = 20 };

typedef struct Scored {
    Trials trials;
    double *scores;
    bool *targets;
} Scored;

static void measure(void *context)
{
    const Scored *s = context;
    DetCurve curve;
    if (det_curve_create(s->scores, s->targets, N_TRIALS, &curve, NULL) < 0)
        return;
    det_eer(&curve, NULL);
    det_min_dcf(&curve, 0.01);
    det_curve_release(&curve);
}

static void interval(void *context)
{
    const Scored *s = context;
    eer_interval(&s->trials, s->scores, SPEAKERS * EACH, 1);
}

int main(int argc, char **argv)
{
    (void)argc;
    process_settle(argv);
    Scored s = {{.trials = mem_alloc(N_TRIALS, sizeof(Trial)), .n = N_TRIALS},
                mem_alloc(N_TRIALS, sizeof(double)),
                mem_alloc(N_TRIALS, sizeof(bool))};
    Rng rng = rng_stream(1, "bench scoring", 0, 0);
    for (int i = 0; i < N_TRIALS; i++) {
        bool target = s.targets[i] = i % 100 < TARGETS_PER_HUNDRED;
        int64_t first = (int64_t)rng_below(&rng, SPEAKERS * EACH);
        int64_t second = target ? first / EACH * EACH + (int64_t)rng_below(&rng, EACH)
                                : (int64_t)rng_below(&rng, SPEAKERS * EACH);
        s.trials.trials[i] = (Trial){first, second, target};
        s.scores[i] = rng_normal(&rng) + (target ? 3 : 0);
    }
    bench_run("EER and minDCF, 1 000 000 trials", 3, measure, &s);
    bench_run("interval of the EER, 1 000 000 trials, 200 replicates", 3, interval, &s);
    mem_free(s.trials.trials);
    mem_free(s.scores);
    mem_free(s.targets);
    return 0;
}
