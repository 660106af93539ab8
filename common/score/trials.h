// Trials: pairs of utterances, target (same speaker) or nontarget. Two forms, told apart by the first line
// that can be read in one way only:
//
//     voxceleb   1|0 enroll test
//     kaldi      enroll test target|nontarget|1|0
//
// Blanks, a tab or commas separate the fields; with commas there may be a header. What is looked for are the
// ids of a sorted list of utterances, and their names (cache/names.h): these decide where a name ends, so
// names may hold blanks. A line with two meanings is an error. Unknown utterances are one that gives, for
// each side, how many there are and the first five.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "score/metrics.h"

typedef struct Trial {
    int64_t enroll, test; // indices into the utterances
    bool target;
} Trial;

typedef struct Trials {
    Trial *trials; // [n], in file order
    int64_t n, n_target, n_nontarget;
    const char *form; // "voxceleb" or "kaldi", or how they were made
} Trials;

// utts [n_utts], sorted in the C locale.
int trials_load(const char *path, char *const *utts, int64_t n_utts, Trials *trials, Error *error);
// text as in a file; `name` for errors.
int trials_parse(const char *name, const char *text, char *const *utts, int64_t n_utts, Trials *trials,
                 Error *error);

// A new block [n]: which trials are targets; and the curve of their scores [n].
bool *trials_targets(const Trials *trials);
int trials_det_curve(const Trials *trials, const double *scores, DetCurve *curve, Error *error);

void trials_release(Trials *trials);
