// The loop around a training step: batches, log, checkpoints, resuming, interrupts.
//
// Beside the model lie <model>.resume (train/resume.h) and <stage>.log in the same folder:
// one line per log_every steps,
//
//     step 1200 loss 3.412 grad 1.93 lr 0.0412 utt/s 14.2 data_wait 3% <what the trainer adds>
//
// with means since the line before. Killed at any moment, the same call goes on from the last checkpoint and
// ends with the same bits: batches and schedules are functions of the step, all else is in the state.
#pragma once
#include <stdbool.h>

#include "base/error.h"
#include "train/batches.h"
#include "train/checkpoint.h"
#include "train/resume.h"

enum { TRAIN_DETAILS = 12 };

typedef struct StepDetail { // a further mean for the log line
    const char *name;
    double value;
} StepDetail;

typedef struct StepReport {
    double loss, gradient_norm, learning_rate;
    StepDetail details[TRAIN_DETAILS]; // name NULL ends the list
    size_t arena_bytes;                // of the tapes that see the whole batch
    size_t part_bytes;                 // of those that see a part of it (train/parts.h)
} StepReport;

typedef struct TrainLoop {
    const char *stage, *model_path, *recipe;
    int64_t n_steps, log_every;
    ResumePace pace;      // at_end: publishing the model may fail, and the training is kept
    BatchOptions batches; // first_step and end_step are set by the loop

    void *trainer;
    // NULL, or called before the first batch of `step` is made. It may change where batches come from, and
    // lower batches->end_step (n_steps) to be called again there: no batch from there on is made before.
    int (*begin)(void *trainer, int64_t step, BatchOptions *batches, Error *error);
    // One optimisation step on the batch. Its loss and gradient norm are checked by the loop.
    int (*step)(void *trainer, const Batch *batch, StepReport *report, Error *error);
    StateItem state[STATE_MAX_ITEMS - 1]; // the trainer's own, its weights first; the loop adds the step
    int64_t n_state;
} TrainLoop;

// Returns 0 when all steps are done; -1 on failure or interrupt (after saving the state).
int train_loop_run(TrainLoop *loop, Error *error);
