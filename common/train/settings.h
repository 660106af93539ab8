// What every training stage lets its user choose, and what follows from it: one table of options, one place
// for their defaults. Options are bound to the fields of the structures that use them, so a choice has one
// home. A stage adds the options of its objective.
//
//     TrainSettings s = train_settings_defaults();
//     const Option *options = train_options(&s, own);      // own rows first
#pragma once
#include "audio/augment.h"
#include "base/options.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/train_loop.h"

typedef struct TrainSettings {
    const char *audio, *encoder, *architecture;
    double epochs;
    int64_t steps, min_steps; // instead of, or at least
    int64_t parts;
    const char *optimizer_kind; // "sgd" or "adamw"
    OptimizerOptions optimizer; // but for its kind
    const char *schedule;       // "cosine", "step" or "constant"
    Schedule learning_rate;     // its peak, end and factor; train_schedule() fills in the rest
    double warmup;              // share of the steps
    double clip_norm;           // 0: none
    AugmentOptions augment;     // but for the babble
    TrainLoop loop; // model_path (--out), log_every, pace, and of its batches what is no trainer's choice
    int64_t plan;   // utterances of a training that is only planned; 0: train
} TrainSettings;

TrainSettings train_settings_defaults(void);
// Lives until the program ends; one table a program.
const Option *train_options(TrainSettings *settings, const Option *own);
Option train_parts_option(TrainSettings *settings); // for stages whose trainer knows parts

int64_t train_steps(const TrainSettings *settings, double steps_per_epoch);
// An epoch of the recipe, counted from 1 (0: never), where --min-steps has made its epochs more.
int64_t train_epoch(const TrainSettings *settings, double steps_per_epoch, int64_t epoch);
OptimizerOptions train_optimizer(const TrainSettings *settings);
Schedule train_schedule(const TrainSettings *settings, int64_t n_steps,
                        double steps_per_epoch); // with the warm-up
// *augmenter is NULL where nothing is to be augmented; babble comes from the corpus.
int train_augmenter(const TrainSettings *settings, Corpus *corpus, Augmenter **augmenter, Error *error);
// An error when crops of n_frames give the encoder less than it needs, or cannot be augmented as asked.
int train_check_crop(const TrainSettings *settings, const Encoder *encoder, int64_t n_frames, Error *error);
