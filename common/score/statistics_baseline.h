// What no training gives: mean and standard deviation over frames of MFCCs, as an embedding. No mean is
// subtracted, so it knows the channel; on corpora with one session per speaker it is hard to beat, and a
// model that does not beat it has learnt little. evaluate prints its EER beside the model's.
#pragma once
#include "score/trials.h"

// Cosine scores of trials over utts [n], whose audio is in the prepared folder `audio`; only utterances that
// a trial names are read, on all threads. scores [trials->n].
int statistics_baseline_score(const char *audio, char *const *utts, int64_t n, const Trials *trials,
                              double *scores, Error *error);
