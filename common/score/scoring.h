// Cosine scores of trials, as voxloop-evaluate's options have it: centred, normalised by a cohort, averaged
// with crops.
#pragma once
#include <stdbool.h>

#include "cache/embeddings.h"
#include "score/domains.h"
#include "score/trials.h"

typedef struct Scoring {
    bool center;               // subtract the mean first: the cohort's, where there is one; else that of
                               // the utterances that trials name
    const Domains *domains;    // instead: subtract each domain's, of the utterances that trials name
    const char *cohort;        // embeddings of other utterances; NULL: scores stay as they are
    const char *cohort_labels; // their pseudo-speakers: the cohort is each one's mean; NULL: each utterance
    int64_t top;               // of the cohort, the nearest that count (AS-norm); 0: all (S-norm)
    const char *crops;         // embeddings of crops (voxloop-extract --crops); NULL: none
} Scoring;

// embeddings: from the file `name`, for errors; they get length 1, are centred, and get length 1 again (long
// rows would pull the mean to themselves). scores [trials->n]. *normalised: by the cohort; one that tells
// nothing, since no score varies over it, leaves them, with a warning.
int score_trials(const Scoring *scoring, const char *name, Embeddings *embeddings, const Trials *trials,
                 double *scores, bool *normalised, Error *error);
