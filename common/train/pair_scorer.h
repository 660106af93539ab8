// Scores of trials by a trained pair head (models/pair_head.h).
#pragma once
#include "base/error.h"
#include "score/trials.h"

// scores [trials->n] by the head in the checkpoint `model`: log-odds of one speaker against two, the mean of
// both orders. rows [n, dim] are the embeddings of the utterances that trials name. An error when the
// checkpoint has no pair head, or one for embeddings of another size.
int pair_head_score(const char *model, const float *rows, int64_t dim, const Trials *trials, double *scores,
                    Error *error);
