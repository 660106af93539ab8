// How far the EER may be off because other speakers could have been recorded: a 95 % interval.
//
// Trials are not independent: they share speakers. So speakers are resampled, not trials (a bootstrap of
// product weights: Owen and Eckles 2012): each speaker gets a weight, drawn from the exponential distribution
// (Rubin 1981); a nontarget trial counts the product of its two speakers' weights, a target trial its
// speaker's. Who is one speaker follows from the target trials, which join their utterances; an utterance
// without target trials is a speaker by itself.
#pragma once
#include "score/trials.h"

typedef struct EerInterval {
    double low, high; // fractions: 2.5 % and 97.5 % of the replicates
} EerInterval;

// scores [trials->n], finite; utterances 0 .. n_utts-1; both kinds of trials occur. Memory is O(n); the
// result does not depend on the number of threads.
EerInterval eer_interval(const Trials *trials, const double *scores, int64_t n_utts, int64_t seed);
