// The rows of the table of objectives, each in its own file.
#pragma once
#include "objectives/objective.h"

// Where the pair head's parameters are in a checkpoint (models/pair_head.h).
#define PAIR_HEAD_NAME   "pair_head"
#define PAIR_HEAD_PREFIX CLASSIFIER_PREFIX PAIR_HEAD_NAME "."

extern const ObjectiveKind aam_objective;        // aam.c: AAM-softmax over the pseudo-speakers
extern const ObjectiveKind supcon_objective;     // supcon.c: supervised contrastive loss
extern const ObjectiveKind supcon_caa_objective; // supcon.c: the same with class-aware attention
extern const ObjectiveKind in_batch_objective;   // in_batch.c: cross-entropy over the batch, with a margin
extern const ObjectiveKind pair_objective;       // pair.c: the pair head, on hard negatives
extern const ObjectiveKind mfcon_objective;      // mfcon.c: contrast on every feature map
extern const ObjectiveKind teacher_objective;    // teacher.c: another system's embeddings
