// What a training would take, before anybody pays for it: steps of a few utterances of noise are taken and
// scaled to the batch size, since all but the weights grows with the utterances of a step. Nothing is read or
// written.
#pragma once
#include "train/train_loop.h"

enum { PLAN_BATCHES = 2 };

typedef struct StepCost {
    double flop, seconds, arena_bytes, part_bytes;
} StepCost;

// What to measure for a training in `parts` parts: how many parts (one or two: what grows with a part is told
// from what grows with the batch), and the batch size for the i-th measurement.
int64_t plan_parts(int64_t parts);
int64_t plan_batch(int i, int64_t parts);

// The cost of a step of the loop's trainer at the loop's batch size.
int plan_measure(TrainLoop *loop, StepCost *cost, Error *error);
// Logs what loop->n_steps of batch_size in `parts` parts take. costs [PLAN_BATCHES] as measured at
// plan_batch().
void plan_print(const TrainLoop *loop, int64_t batch_size, int64_t parts, const StepCost *costs);
