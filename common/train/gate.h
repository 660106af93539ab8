// The loss gate over a training: the losses of an epoch's utterances are kept, and each epoch from
// `gate_epoch` on lets pass what the mixture fitted to the epoch before takes for clean
// (losses/loss_mixture.h). From `correct_epoch` on, what does not pass may be trained on the class that the
// model finds (losses/aam_softmax.h). Epochs count from 1, as in the recipe: 5 and 9 of 15 there.
#pragma once
#include <stdbool.h>

#include "base/options.h"
#include "losses/aam_softmax.h"
#include "losses/loss_mixture.h"

typedef struct GateOptions {
    int64_t gate_epoch, correct_epoch; // 0: never
    double sharpening, confidence;     // of the correction: 0.1 and 0.5
    int64_t n_utts, steps_per_epoch;
} GateOptions;

typedef struct Gate {
    GateOptions options;
    float *log_losses; // [n_utts] of the current epoch, NaN: not seen yet
    float threshold;   // infinite: open
} Gate;

void gate_append_options(GateOptions *options, Option *table); // --gate-epoch and what belongs to it
int gate_check(const GateOptions *options, Error *error);      // that a correction has a gate before it
void gate_init(Gate *gate, const GateOptions *options);
void gate_release(Gate *gate);
// Before each step. At an epoch's beginning the threshold is found anew; where the losses show no two modes,
// the last one stays, and where the lower mode holds less than half of them the gate is open: most labels are
// not learnt yet. A warning says so.
void gate_begin_step(Gate *gate, int64_t step);
bool gate_corrects(const Gate *gate, int64_t step);
// NULL: every sample counts. clean: see LossGate; *loss_gate holds what the result points to.
const LossGate *gate_now(const Gate *gate, const float *clean, LossGate *loss_gate);
void gate_record(Gate *gate, const int64_t *utts, const float *losses, int64_t n);
// A JSON object of the last epoch: its threshold, the mixture fitted to its losses and their histogram.
int gate_publish(const Gate *gate, const char *path, Error *error);
