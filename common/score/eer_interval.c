#include "score/eer_interval.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/rng.h"

enum { N_REPLICATES = 200 };
static const double LEFT_OUT = 0.025; // on each side

typedef struct Scored {
    double score;
    int64_t first, second; // speakers
    bool target;
} Scored;

// --- speakers: what target trials join (union-find with path halving)

static int64_t speaker_of(int64_t *parent, int64_t utt)
{
    while (parent[utt] != utt)
        utt = parent[utt] = parent[parent[utt]];
    return utt;
}

static int64_t *join_speakers(const Trials *trials, int64_t n_utts)
{
    int64_t *parent = mem_alloc((size_t)n_utts, sizeof(int64_t));
    for (int64_t i = 0; i < n_utts; i++)
        parent[i] = i;
    for (int64_t t = 0; t < trials->n; t++)
        if (trials->trials[t].target)
            parent[speaker_of(parent, trials->trials[t].enroll)] = speaker_of(parent, trials->trials[t].test);
    return parent;
}

static int ascending_scores(const void *a, const void *b)
{
    double x = ((const Scored *)a)->score, y = ((const Scored *)b)->score;
    return (x > y) - (x < y);
}

static Scored *sort_trials(const Trials *trials, const double *scores, int64_t n_utts)
{
    int64_t *parent = join_speakers(trials, n_utts);
    Scored *sorted = mem_alloc((size_t)trials->n, sizeof(Scored));
    for (int64_t t = 0; t < trials->n; t++) {
        const Trial *trial = &trials->trials[t];
        sorted[t] = (Scored){scores[t], speaker_of(parent, trial->enroll), speaker_of(parent, trial->test),
                             trial->target};
    }
    qsort(sorted, (size_t)trials->n, sizeof(Scored), ascending_scores);
    mem_free(parent);
    return sorted;
}

// --- replicates

static double weight_of(const Scored *trial, const double *weights)
{
    return trial->target ? weights[trial->first] : weights[trial->first] * weights[trial->second];
}

// The EER by det_eer()'s rule, each trial with its weight.
static double weighted_eer(const Scored *sorted, int64_t n, const double *weights)
{
    double total[2] = {0}, below[2] = {0}, fnr = 0, fpr = 1;
    for (int64_t t = 0; t < n; t++)
        total[sorted[t].target] += weight_of(&sorted[t], weights);
    for (int64_t t = 0; t < n;) {
        double score = sorted[t].score, last_fnr = fnr, last_fpr = fpr;
        for (; t < n && sorted[t].score == score; t++)
            below[sorted[t].target] += weight_of(&sorted[t], weights);
        fnr = below[true] / total[true];
        fpr = 1 - below[false] / total[false];
        if (fnr >= fpr) { // the line between the two points crosses fnr = fpr
            double before = last_fpr - last_fnr, after = fnr - fpr;
            return last_fnr + (fnr - last_fnr) * before / (before + after);
        }
    }
    return fnr;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

EerInterval eer_interval(const Trials *trials, const double *scores, int64_t n_utts, int64_t seed)
{
    Scored *sorted = sort_trials(trials, scores, n_utts);
    double eers[N_REPLICATES];
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t r = 0; r < N_REPLICATES; r++) {
        Rng rng = rng_stream((uint64_t)seed, "eer interval", (uint64_t)r, 0);
        double *weights = mem_alloc((size_t)n_utts, sizeof(double));
        for (int64_t i = 0; i < n_utts; i++)
            weights[i] = -log(1 - rng_uniform(&rng));
        eers[r] = weighted_eer(sorted, trials->n, weights);
        mem_free(weights);
    }
    mem_free(sorted);
    qsort(eers, N_REPLICATES, sizeof(double), ascending);
    int64_t outside = (int64_t)(LEFT_OUT * N_REPLICATES);
    return (EerInterval){eers[outside], eers[N_REPLICATES - 1 - outside]};
}
