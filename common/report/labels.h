// The pseudo-labels of a round, from the member utt2spk of its label shard.
#pragma once
#include "base/error.h"
#include "cache/lists.h"
#include "report/work.h"

// An empty list when the round has no labels.tar.zst. Free with labels_release().
int round_labels(const Round *round, LabelList *labels, Error *error);

// Cluster sizes and, where clusters.json lacks them and truth is not NULL, the measures against the true
// speakers, over the utterances whose speaker is known. Nothing happens without labels.tar.zst.
int round_judge_labels(Round *round, const LabelList *truth, Error *error);
