// Label-free trials: pairs of one session (score/session.h) against pairs of different ones that also lie
// apart. Where all is one session there are none. Given durations, each pair of different sessions is a pair
// of one whose second utterance is exchanged for one of another session that is about as long (among the 10 %
// nearest in length, or 16): else short utterances, whose scores are low, would stand on one side more than
// on the other.
#pragma once
#include <stdint.h>

#include "base/error.h"
#include "cache/embeddings.h"
#include "score/session.h"
#include "score/trials.h"

// At most `most` of each kind, drawn with `seed`. n_target = 0 when no session has two utterances: then there
// is nothing to measure, which is no error. durations [sessions->n], in any unit; NULL: not known.
void trials_label_free(const Sessions *sessions, const int64_t *durations, int64_t most, int64_t seed,
                       Trials *trials);

typedef struct LabelFree {
    const char *session; // file, folder or a pattern
    const char *audio;   // prepared, for the durations; NULL: they do not matter
    int64_t most, seed;
} LabelFree;

// The same of the utterances of embeddings; logs what the sessions are. A pattern that fits none of them, or
// an utterance that the audio lacks, is an error.
int label_free_make(const LabelFree *options, const Embeddings *embeddings, Trials *trials, Error *error);
