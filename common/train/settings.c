#include "train/settings.h"

#include <math.h>
#include <string.h>

#include "audio/front_end.h"
#include "base/log.h"

enum { MOST_OPTIONS = 128 };

TrainSettings train_settings_defaults(void)
{
    TrainSettings s = {.encoder = "ecapa",
                       .epochs = 15,
                       .parts = 1,
                       .optimizer_kind = "sgd",
                       .optimizer = optimizer_defaults(OPTIMIZER_SGD),
                       .schedule = "cosine",
                       .learning_rate = {.peak = 0.1, .end = 1e-5, .factor = 0.95},
                       .warmup = 0.1,
                       .augment = {.probability = 0.8},
                       .loop = {.log_every = 10,
                                .pace = {.minutes = 5, .at_end = true},
                                .batches = {.batch_size = 32, .n_loaders = 1}}};
    s.optimizer.momentum = 0.9;
    s.optimizer.weight_decay = 1e-4;
    return s;
}

const Option *train_options(TrainSettings *s, const Option *own)
{
    BatchOptions *batches = &s->loop.batches;
    const Option shared[] = {
        option_heading("Length and batches"),
        option_real("epochs", &s->epochs, 0.001, 1e6, "length of training, in times through the utterances"),
        option_integer("steps", &s->steps, 0, 1e12, "length of training in steps instead; 0: by --epochs"),
        option_integer(
            "min-steps", &s->min_steps, 0, 1e12,
            "more epochs where they give fewer steps than this; gate and correction wait in proportion"),
        option_integer("batch", &batches->batch_size, 2, 65536, "utterances of a training step"),
        option_real("augment", &s->augment.probability, 0, 1,
                    "share of crops that get noise, music, babble or reverberation"),
        option_real("degrade", &batches->degrade, 0, 1,
                    "share of crops that are clipped, cut to the telephone band or coded in 8 bits"),
        option_real("spec-augment", &batches->spec_augment, 0, 1,
                    "share of crops in which frames and mel bins are masked"),
        option_input("noise", &s->augment.noise_folder, "DIR",
                     "noise recordings for --augment (default: made ones)"),
        option_input("rir", &s->augment.rir_folder, "DIR",
                     "room responses for --augment (default: made ones)"),
        option_heading("Optimisation"),
        option_choice("optimizer", &s->optimizer_kind, "sgd|adamw", "kind of optimiser"),
        option_real("learning-rate", &s->learning_rate.peak, 1e-9, 1e3, "learning rate after the warm-up"),
        option_real("final-learning-rate", &s->learning_rate.end, 0, 1e3,
                    "learning rate where a cosine ends"),
        option_choice("schedule", &s->schedule, "cosine|step|constant", "schedule of the learning rate"),
        option_real("decay", &s->learning_rate.factor, 1e-6, 1, "factor per epoch of --schedule step"),
        option_real("warmup", &s->warmup, 0, 0.99,
                    "share of the steps in which the learning rate rises from 0"),
        option_real("momentum", &s->optimizer.momentum, 0, 0.9999, "momentum of SGD"),
        option_flag("nesterov", &s->optimizer.nesterov, "Nesterov's form of SGD's momentum"),
        option_real("weight-decay", &s->optimizer.weight_decay, 0, 10, "weight decay, of matrices only"),
        option_real("clip", &s->clip_norm, 0, 1e9, "largest gradient norm; 0: any"),
        option_heading("Running"),
        option_neutral(
            option_integer("log-every", &s->loop.log_every, 1, 1e9, "steps between lines of the log")),
        option_neutral(option_integer("checkpoint-every", &s->loop.pace.every, 0, 1e9,
                                      "steps between checkpoints; 0: by time only")),
        option_neutral(option_real("checkpoint-minutes", &s->loop.pace.minutes, 0, 1e6,
                                   "minutes between checkpoints; 0: by steps only")),
        option_neutral(option_integer("loaders", &batches->n_loaders, 1, 64, "threads that prepare batches")),
        option_neutral(
            option_integer("plan", &s->plan, 0, 1e12,
                           "only say what training on so many utterances would take; no file is looked at")),
        {0}};
    static Option table[MOST_OPTIONS];
    options_append(table, own);
    options_append(table, shared);
    return table;
}

Option train_parts_option(TrainSettings *s)
{
    return option_integer(
        "parts", &s->parts, 1, 65536,
        "the encoder takes the batch in so many parts: less memory, about a quarter more time");
}

int64_t train_steps(const TrainSettings *s, double steps_per_epoch)
{
    if (s->steps > 0)
        return s->steps;
    int64_t n = (int64_t)ceil(s->epochs * steps_per_epoch);
    return n > s->min_steps ? n : s->min_steps;
}

int64_t train_epoch(const TrainSettings *s, double steps_per_epoch, int64_t epoch)
{
    double stretch = (double)train_steps(s, steps_per_epoch) / (s->epochs * steps_per_epoch);
    if (epoch == 0 || s->steps > 0 || stretch <= 1)
        return epoch;
    return 1 + (int64_t)floor((double)(epoch - 1) * stretch);
}

OptimizerOptions train_optimizer(const TrainSettings *s)
{
    OptimizerOptions options = s->optimizer;
    options.kind = strcmp(s->optimizer_kind, "sgd") == 0 ? OPTIMIZER_SGD : OPTIMIZER_ADAMW;
    return options;
}

Schedule train_schedule(const TrainSettings *s, int64_t n_steps, double steps_per_epoch)
{
    Schedule schedule = s->learning_rate;
    schedule.kind = strcmp(s->schedule, "step") == 0       ? SCHEDULE_STEP
                    : strcmp(s->schedule, "constant") == 0 ? SCHEDULE_CONSTANT
                                                           : SCHEDULE_COSINE;
    schedule.every = (int64_t)steps_per_epoch;
    schedule.warmup_steps = (int64_t)llround(s->warmup * (double)n_steps);
    schedule.length = n_steps - schedule.warmup_steps;
    schedule.warmup_start = schedule.peak / (double)(schedule.warmup_steps + 1); // no step at a rate of 0
    return schedule;
}

int train_augmenter(const TrainSettings *s, Corpus *corpus, Augmenter **augmenter, Error *error)
{
    AugmentOptions options = s->augment;
    options.babble = corpus_babble;
    options.babble_context = corpus;
    *augmenter = NULL;
    if (options.probability > 0 && !(*augmenter = augmenter_create(&options, error)))
        return -1;
    return 0;
}

int train_check_crop(const TrainSettings *settings, const Encoder *encoder, int64_t n_frames, Error *error)
{
    if (settings->loop.batches.spec_augment > 0 && !front_end_has_bands(encoder->input))
        return error_set(error,
                         "--spec-augment masks filter banks, and this encoder takes waveforms; leave it out");
    if (crop_shape(encoder->input, &(CropGroup){.n_frames = n_frames}).length >= encoder->min_input)
        return 0;
    return error_set(error, "crops of %lld frames are too short for the encoder, which needs %lld %s",
                     (long long)n_frames, (long long)encoder->min_input, front_end_unit(encoder->input));
}
