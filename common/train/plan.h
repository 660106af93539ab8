// What a training would take, before anybody pays for it: steps of a few utterances of noise are taken and
// scaled to the batch size, since all but the weights grows with the utterances of a step. Nothing is read or
// written.
#pragma once
#include "train/train_loop.h"

enum { PLAN_BATCHES = 2 };
extern const int64_t PLAN_BATCH[PLAN_BATCHES]; // the batch sizes to measure

typedef struct StepCost {
    double flop, seconds, arena_bytes;
} StepCost;

// The cost of a step of the loop's trainer at the loop's batch size.
int plan_measure(TrainLoop *loop, StepCost *cost, Error *error);
// Logs what loop->n_steps of batch_size take. costs [PLAN_BATCHES] as measured at PLAN_BATCH.
void plan_print(const TrainLoop *loop, int64_t batch_size, const StepCost *costs);
