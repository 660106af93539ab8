#include "train/settings.h"

#include <math.h>
#include <string.h>

#include "audio/fbank.h"
#include "base/log.h"
#include "base/memory.h"

TrainSettings train_settings_defaults(void)
{
    return (TrainSettings){.encoder = "ecapa",
                           .optimizer = "sgd",
                           .epochs = 15,
                           .batch = 32,
                           .parts = 1,
                           .augment = 0.8,
                           .learning_rate = 0.1,
                           .final_learning_rate = 1e-5,
                           .warmup = 0.1,
                           .momentum = 0.9,
                           .weight_decay = 1e-4,
                           .log_every = 10,
                           .checkpoint_minutes = 5,
                           .loaders = 1};
}

static int64_t count_rows(const Option *table)
{
    int64_t n = 0;
    while (table[n].name)
        n++;
    return n;
}

Option *train_options(TrainSettings *s, const Option *own)
{
    const Option shared[] = {
        option_heading("Length and batches"),
        option_real("epochs", &s->epochs, 0.001, 1e6, "times through the utterances"),
        option_integer("steps", &s->steps, 0, 1e12, "steps instead of epochs; 0: by epochs"),
        option_integer(
            "min-steps", &s->min_steps, 0, 1e12,
            "more epochs where they give fewer steps than this; gate and correction wait in proportion"),
        option_integer("batch", &s->batch, 2, 65536, "utterances of a step"),
        option_integer(
            "parts", &s->parts, 1, 65536,
            "the encoder takes the batch in so many parts: less memory, about a quarter more time"),
        option_real("augment", &s->augment, 0, 1, "share of crops that are augmented"),
        option_real("degrade", &s->degrade, 0, 1,
                    "share of crops that are then clipped, cut to the telephone band or coded in 8 bits"),
        option_real("spec-augment", &s->spec_augment, 0, 1,
                    "share of crops in which frames and mel bins are masked"),
        option_input("noise", &s->noise, "DIR", "noise recordings (default: made ones)"),
        option_input("rir", &s->rir, "DIR", "room responses (default: made ones)"),
        option_heading("Optimisation"),
        option_choice("optimizer", &s->optimizer, "sgd|adamw", "kind of optimiser"),
        option_real("learning-rate", &s->learning_rate, 1e-9, 1e3, "after the warm-up"),
        option_real("final-learning-rate", &s->final_learning_rate, 0, 1e3, "where a cosine ends"),
        option_real("warmup", &s->warmup, 0, 0.99, "share of the steps"),
        option_real("momentum", &s->momentum, 0, 0.9999, "of SGD"),
        option_real("weight-decay", &s->weight_decay, 0, 10, "on matrices only"),
        option_real("clip", &s->clip, 0, 1e9, "largest gradient norm; 0: any"),
        option_heading("Running"),
        option_neutral(option_integer("log-every", &s->log_every, 1, 1e9, "steps between lines of the log")),
        option_neutral(option_integer("checkpoint-every", &s->checkpoint_every, 0, 1e9,
                                      "steps between checkpoints; 0: by time only")),
        option_neutral(option_real("checkpoint-minutes", &s->checkpoint_minutes, 0, 1e6,
                                   "minutes between checkpoints; 0: by steps only")),
        option_neutral(option_integer("loaders", &s->loaders, 1, 64, "threads that prepare batches")),
        option_neutral(
            option_integer("plan", &s->plan, 0, 1e12,
                           "only say what training on so many utterances would take; no file is looked at")),
        {0}};
    int64_t n = count_rows(own);
    Option *table = mem_alloc((size_t)n + sizeof shared / sizeof shared[0], sizeof *table);
    memcpy(table, own, (size_t)n * sizeof *table);
    memcpy(table + n, shared, sizeof shared);
    return table;
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
    OptimizerOptions options =
        optimizer_defaults(strcmp(s->optimizer, "sgd") == 0 ? OPTIMIZER_SGD : OPTIMIZER_ADAMW);
    options.momentum = s->momentum;
    options.weight_decay = s->weight_decay;
    return options;
}

Schedule train_cosine(const TrainSettings *s, int64_t n_steps)
{
    int64_t warmup = (int64_t)llround(s->warmup * (double)n_steps);
    return (Schedule){.kind = SCHEDULE_COSINE,
                      .peak = s->learning_rate,
                      .end = s->final_learning_rate,
                      .length = n_steps - warmup,
                      .warmup_steps = warmup,
                      .warmup_start = s->learning_rate / (double)(warmup + 1)}; // no step at a rate of 0
}

int train_augmenter(const TrainSettings *s, Corpus *corpus, int64_t seed, Augmenter **augmenter, Error *error)
{
    AugmentOptions options = {.probability = s->augment,
                              .noise_folder = s->noise,
                              .rir_folder = s->rir,
                              .babble = corpus_babble,
                              .babble_context = corpus};
    *augmenter = NULL;
    if (s->augment > 0 && !(*augmenter = augmenter_create(&options, (uint64_t)seed, error)))
        return -1;
    return 0;
}

TrainLoop train_loop_from(const TrainSettings *s, const Program *program, const char *recipe, int64_t n_steps,
                          const Corpus *corpus, Sampler *sampler, const Augmenter *augmenter)
{
    log_info("%lld steps of %lld utterances (%.1f epochs)", (long long)n_steps, (long long)s->batch,
             (double)n_steps / sampler_steps_per_epoch(sampler));
    return (TrainLoop){.stage = program->name,
                       .model_path = s->out,
                       .recipe = recipe,
                       .n_steps = n_steps,
                       .log_every = s->log_every,
                       .checkpoint_every = s->checkpoint_every,
                       .checkpoint_minutes = s->checkpoint_minutes,
                       .batches = {.corpus = corpus,
                                   .sampler = sampler,
                                   .seed = (uint64_t)program->seed,
                                   .augmenter = augmenter,
                                   .degrade = s->degrade,
                                   .spec_augment = s->spec_augment,
                                   .batch_size = s->batch,
                                   .n_loaders = (int)s->loaders}};
}

int train_check_crop(const TrainSettings *settings, const Encoder *encoder, int64_t n_frames, Error *error)
{
    if (settings->spec_augment > 0 && !front_end_has_bands(encoder->input))
        return error_set(error,
                         "--spec-augment masks filter banks, and this encoder takes waveforms; leave it out");
    if (crop_shape(encoder->input, &(CropGroup){.n_frames = n_frames}).length >= encoder->min_input)
        return 0;
    return error_set(error, "crops of %lld frames are too short for the encoder, which needs %lld %s",
                     (long long)n_frames, (long long)encoder->min_input, front_end_unit(encoder->input));
}
