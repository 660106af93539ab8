// What every training stage lets its user choose, and what it makes of it: one table of options, one place
// for their defaults. A stage adds the options of its objective.
//
//     TrainSettings s = train_settings_defaults();
//     Option *options = train_options(&s, own);      // own rows first; mem_free() it after parsing
#pragma once
#include "base/options.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/train_loop.h"

typedef struct TrainSettings {
    const char *audio, *out, *encoder, *architecture, *noise, *rir, *optimizer;
    double epochs, augment, degrade, spec_augment;
    int64_t steps, min_steps, batch, parts;
    double learning_rate, final_learning_rate, warmup, momentum, weight_decay, clip;
    int64_t log_every, checkpoint_every, loaders, plan;
    double checkpoint_minutes;
} TrainSettings;

TrainSettings train_settings_defaults(void);
Option *train_options(TrainSettings *settings, const Option *own);

int64_t train_steps(const TrainSettings *settings, double steps_per_epoch);
// An epoch of the recipe, counted from 1 (0: never), where --min-steps has made its epochs more.
int64_t train_epoch(const TrainSettings *settings, double steps_per_epoch, int64_t epoch);
OptimizerOptions train_optimizer(const TrainSettings *settings);
Schedule train_cosine(const TrainSettings *settings, int64_t n_steps); // with the warm-up
// *augmenter is NULL where nothing is to be augmented; babble comes from the corpus.
int train_augmenter(const TrainSettings *settings, Corpus *corpus, int64_t seed, Augmenter **augmenter,
                    Error *error);
// The loop without trainer, crops and input form.
TrainLoop train_loop_from(const TrainSettings *settings, const Program *program, const char *recipe,
                          int64_t n_steps, const Corpus *corpus, Sampler *sampler,
                          const Augmenter *augmenter);
// An error when crops of n_frames give the encoder less than it needs, or cannot be augmented as asked.
int train_check_crop(const TrainSettings *settings, const Encoder *encoder, int64_t n_frames, Error *error);
