// voxloop-finetune: an encoder that tells pseudo-speakers apart (AAM-softmax), from scratch or from weights.
#include <math.h>
#include <string.h>

#include "audio/augment.h"
#include "audio/fbank.h"
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/corpus.h"
#include "cache/label_shard.h"
#include "cache/lists.h"
#include "cache/provenance.h"
#include "train/architecture.h"
#include "train/classifier_trainer.h"
#include "train/train_loop.h"

typedef struct Settings {
    const char *audio, *labels, *init, *out, *encoder, *architecture, *noise, *rir;
    const char *optimizer, *schedule, *freeze;
    double epochs, augment;
    int64_t steps, batch, frames, most_per_speaker;
    double margin, margin_start, margin_ramp, scale;
    bool easy_margin, nesterov;
    double learning_rate, final_learning_rate, decay, encoder_rate, warmup, momentum, weight_decay, clip,
        pull;
    int64_t log_every, checkpoint_every, loaders;
    double checkpoint_minutes;
} Settings;

// What does not decide the weights: paths (their content's digest does), logging, checkpoints.
static const char *const NOT_IN_RECIPE[] = {
    "audio", "labels", "init", "out", "log-every", "checkpoint-every", "checkpoint-minutes", "loaders", NULL};

typedef struct Finetuning {
    Corpus *corpus;
    Augmenter *augmenter;
    Sampler *sampler;
    cJSON *architecture;
    int64_t *labels; // [utterances of the corpus], -1: none
    int64_t n_classes;
    ClassifierTrainer *trainer;
} Finetuning;

static void release(Finetuning *f)
{
    classifier_trainer_destroy(f->trainer);
    cJSON_Delete(f->architecture);
    sampler_destroy(f->sampler);
    augmenter_destroy(f->augmenter);
    corpus_close(f->corpus);
    mem_free(f->labels);
}

// --- labels

// A label shard's utt2spk, or a list in any of the forms that lists.h reads.
static int load_labels(const char *path, LabelList *list, Error *error)
{
    const char *form, *ending = strrchr(path, '.');
    if (!ending || strcmp(ending, ".zst") != 0)
        return labels_load(path, NULL, 0, list, &form, error);
    return label_shard_load(path, list, error);
}

// Classes are numbered by first appearance in the corpus, so that none is without utterances.
static int assign_labels(const char *path, Finetuning *f, Error *error)
{
    LabelList list = {0};
    if (load_labels(path, &list, error) < 0)
        return -1;
    int64_t n = corpus_count(f->corpus), n_labelled = 0;
    int64_t *class_of = mem_alloc((size_t)list.n_labels + 1, sizeof(int64_t));
    memset(class_of, 0xff, (size_t)list.n_labels * sizeof(int64_t)); // -1
    f->labels = mem_alloc((size_t)n, sizeof(int64_t));
    for (int64_t i = 0; i < n; i++) {
        int64_t at = labels_find(&list, corpus_utt(f->corpus, i));
        f->labels[i] = -1;
        if (at < 0)
            continue;
        int64_t *c = &class_of[list.labels[at]];
        if (*c < 0)
            *c = f->n_classes++;
        f->labels[i] = *c;
        n_labelled++;
    }
    int64_t n_strangers = list.n - n_labelled;
    mem_free(class_of);
    labels_release(&list);
    if (f->n_classes < 2)
        return error_set(error,
                         "%s gives %lld pseudo-speakers to the utterances of the audio; training needs at "
                         "least 2",
                         path, (long long)f->n_classes);
    log_info("%lld of %lld utterances have labels, %lld pseudo-speakers; %lld labels are of utterances that "
             "the audio lacks",
             (long long)n_labelled, (long long)n, (long long)f->n_classes, (long long)n_strangers);
    return 0;
}

// --- training

static Schedule schedule_of(const Settings *s, int64_t n_steps, double steps_per_epoch)
{
    int64_t warmup = (int64_t)llround(s->warmup * (double)n_steps);
    Schedule schedule = {.kind = SCHEDULE_COSINE,
                         .peak = s->learning_rate,
                         .end = s->final_learning_rate,
                         .length = n_steps - warmup,
                         .factor = s->decay,
                         .every = (int64_t)steps_per_epoch,
                         .warmup_steps = warmup,
                         .warmup_start = s->learning_rate / (double)(warmup + 1)};
    if (strcmp(s->schedule, "step") == 0)
        schedule.kind = SCHEDULE_STEP;
    else if (strcmp(s->schedule, "constant") == 0)
        schedule.kind = SCHEDULE_CONSTANT;
    return schedule;
}

static OptimizerOptions optimizer_of(const Settings *s)
{
    OptimizerOptions options =
        optimizer_defaults(strcmp(s->optimizer, "sgd") == 0 ? OPTIMIZER_SGD : OPTIMIZER_ADAMW);
    options.momentum = s->momentum;
    options.nesterov = s->nesterov;
    options.weight_decay = s->weight_decay;
    return options;
}

static ClassifierOptions classifier_of(const Settings *s, const Finetuning *f, int64_t seed, int64_t n_steps)
{
    return (ClassifierOptions){
        .architecture = f->architecture,
        .start_path = s->init,
        .freeze = s->freeze,
        .n_classes = f->n_classes,
        .labels = f->labels,
        .scale = s->scale,
        .margin = {s->margin_start, s->margin, 0, (int64_t)llround(s->margin_ramp * (double)n_steps), false},
        .easy_margin = s->easy_margin,
        .optimizer = optimizer_of(s),
        .learning_rate = schedule_of(s, n_steps, sampler_steps_per_epoch(f->sampler)),
        .encoder_rate_factor = s->encoder_rate,
        .pull = s->pull,
        .clip_norm = s->clip,
        .crops = {1, s->frames},
        .batch_size = s->batch,
        .seed = seed};
}

static int open_inputs(const Settings *s, int64_t seed, Finetuning *f, Error *error)
{
    if (!(f->corpus = corpus_open(s->audio, error)) || assign_labels(s->labels, f, error) < 0)
        return -1;
    AugmentOptions augment = {.probability = s->augment,
                              .noise_folder = s->noise,
                              .rir_folder = s->rir,
                              .babble = corpus_babble,
                              .babble_context = f->corpus};
    if (s->augment > 0 && !(f->augmenter = augmenter_create(&augment, (uint64_t)seed, error)))
        return -1;
    f->sampler = sampler_create_balanced(f->labels, corpus_count(f->corpus), f->n_classes,
                                         s->most_per_speaker, s->batch, (uint64_t)seed);
    // Weights bring their architecture with them.
    f->architecture =
        s->init ? model_architecture(s->init, error) : architecture_parse(s->encoder, s->architecture, error);
    return f->architecture ? 0 : -1;
}

static int check_crop(const Settings *s, const Encoder *encoder, Error *error)
{
    bool is_fbank = encoder->input == ENCODER_FBANK;
    if ((is_fbank ? s->frames : fbank_samples(s->frames)) < encoder->min_input)
        return error_set(error, "crops of %lld frames are too short for the encoder, which needs %lld %s",
                         (long long)s->frames, (long long)encoder->min_input,
                         is_fbank ? "frames" : "samples");
    return 0;
}

// Digest of the options and of every input's content.
static int make_recipe(const Program *program, const Settings *s, const Finetuning *f, char recipe[17],
                       Error *error)
{
    char labels[17], init[17] = "none", *json = program_options_json(program);
    int status = file_digest(s->labels, labels, error);
    if (status == 0 && s->init)
        status = file_digest(s->init, init, error);
    if (status == 0)
        recipe_digest(json, NOT_IN_RECIPE,
                      (const char *[]){"finetune", corpus_digest(f->corpus), labels, init, NULL}, recipe);
    mem_free(json);
    return status;
}

static int train(const Program *program, const Settings *s, Finetuning *f, int64_t *n_steps, Error *error)
{
    char recipe[17];
    if (open_inputs(s, program->seed, f, error) < 0 || make_recipe(program, s, f, recipe, error) < 0)
        return -1;
    double steps_per_epoch = sampler_steps_per_epoch(f->sampler);
    *n_steps = s->steps > 0 ? s->steps : (int64_t)ceil(s->epochs * steps_per_epoch);
    ClassifierOptions options = classifier_of(s, f, program->seed, *n_steps);
    if (!(f->trainer = classifier_trainer_create(&options, error)))
        return -1;
    const Encoder *encoder = classifier_trainer_encoder(f->trainer);
    if (check_crop(s, encoder, error) < 0)
        return -1;
    TrainLoop loop = {.stage = "finetune",
                      .model_path = s->out,
                      .recipe = recipe,
                      .n_steps = *n_steps,
                      .log_every = s->log_every,
                      .checkpoint_every = s->checkpoint_every,
                      .checkpoint_minutes = s->checkpoint_minutes,
                      .batches = {.corpus = f->corpus,
                                  .sampler = f->sampler,
                                  .seed = (uint64_t)program->seed,
                                  .input = encoder->input,
                                  .augmenter = f->augmenter,
                                  .batch_size = s->batch,
                                  .groups = {options.crops},
                                  .n_groups = 1,
                                  .n_loaders = (int)s->loaders}};
    classifier_trainer_attach(f->trainer, &loop);
    log_info("%s, %lld steps of %lld (%.1f epochs)", encoder->kind->name, (long long)*n_steps,
             (long long)s->batch, (double)*n_steps / steps_per_epoch);
    ModelInfo info = {f->architecture, *n_steps, program->seed, recipe};
    if (train_loop_run(&loop, error) < 0 ||
        classifier_trainer_publish(f->trainer, s->out, &info, error) < 0 ||
        provenance_publish(program, s->out, (const char *[]){s->audio, s->labels, s->init, NULL}, error) < 0)
        return -1;
    train_loop_finish(&loop);
    return 0;
}

int main(int argc, char **argv)
{
    Settings s = {.encoder = "ecapa",
                  .optimizer = "sgd",
                  .schedule = "cosine",
                  .epochs = 40,
                  .batch = 32,
                  .frames = 200,
                  .most_per_speaker = 500,
                  .augment = 0.8,
                  .margin = 0.2,
                  .margin_ramp = 0.5,
                  .scale = 30,
                  .learning_rate = 0.1,
                  .final_learning_rate = 1e-5,
                  .decay = 0.95,
                  .encoder_rate = 1,
                  .warmup = 0.1,
                  .momentum = 0.9,
                  .nesterov = true,
                  .weight_decay = 1e-4,
                  .log_every = 10,
                  .checkpoint_minutes = 5,
                  .loaders = 1};
    const Option options[] = {
        {"audio", OPTION_TEXT, &s.audio, 0, 0, NULL, "DIR", "audio as voxloop-prepare leaves it", true},
        {"labels", OPTION_TEXT, &s.labels, 0, 0, NULL, "FILE",
         "label shard of voxloop-cluster, or an utt2spk list", true},
        {"out", OPTION_TEXT, &s.out, 0, 0, NULL, "FILE",
         "the model (safetensors); finetune.log lies beside it", true},
        {"init", OPTION_TEXT, &s.init, 0, 0, NULL, "FILE",
         "weights to start from; they bring their architecture", false},
        {"encoder", OPTION_CHOICE, &s.encoder, 0, 0, "ecapa|wavlm", NULL, "kind of encoder, without --init",
         false},
        {"architecture", OPTION_TEXT, &s.architecture, 0, 0, NULL, "KEY=VALUE,...",
         "its sizes (default: small ones, for small corpora)", false},
        {"freeze", OPTION_TEXT, &s.freeze, 0, 0, NULL, "PREFIX,...", "parameters that stay as they are",
         false},
        {"Length and batches", OPTION_HEADING, NULL, 0, 0, NULL, NULL, NULL, false},
        {"epochs", OPTION_REAL, &s.epochs, 0.001, 1e6, NULL, NULL, "times through the labelled utterances",
         false},
        {"steps", OPTION_INTEGER, &s.steps, 0, 1e12, NULL, NULL, "steps instead of epochs; 0: by epochs",
         false},
        {"batch", OPTION_INTEGER, &s.batch, 2, 65536, NULL, NULL, "utterances of a step", false},
        {"frames", OPTION_INTEGER, &s.frames, 10, 100000, NULL, NULL, "length of a crop, 10 ms each", false},
        {"most-per-speaker", OPTION_INTEGER, &s.most_per_speaker, 1, 1e9, NULL, NULL,
         "utterances of one pseudo-speaker in an epoch", false},
        {"augment", OPTION_REAL, &s.augment, 0, 1, NULL, NULL, "share of crops that are augmented", false},
        {"noise", OPTION_TEXT, &s.noise, 0, 0, NULL, "DIR", "noise recordings (default: made ones)", false},
        {"rir", OPTION_TEXT, &s.rir, 0, 0, NULL, "DIR", "room responses (default: made ones)", false},
        {"Loss", OPTION_HEADING, NULL, 0, 0, NULL, NULL, NULL, false},
        {"margin", OPTION_REAL, &s.margin, 0, 1.5, NULL, NULL, "of AAM-softmax at the end, radians", false},
        {"margin-start", OPTION_REAL, &s.margin_start, 0, 1.5, NULL, NULL, "of AAM-softmax at first", false},
        {"margin-ramp", OPTION_REAL, &s.margin_ramp, 0, 1, NULL, NULL, "share of the steps in between",
         false},
        {"scale", OPTION_REAL, &s.scale, 1, 1000, NULL, NULL, "of the cosines", false},
        {"easy-margin", OPTION_FLAG, &s.easy_margin, 0, 0, NULL, NULL, "no margin beyond a right angle",
         false},
        {"pull", OPTION_REAL, &s.pull, 0, 1000, NULL, NULL, "towards the initial weights (the recipe: 0.01)",
         false},
        {"Optimisation", OPTION_HEADING, NULL, 0, 0, NULL, NULL, NULL, false},
        {"optimizer", OPTION_CHOICE, &s.optimizer, 0, 0, "sgd|adamw", NULL, "kind of optimiser", false},
        {"schedule", OPTION_CHOICE, &s.schedule, 0, 0, "cosine|step|constant", NULL, "of the learning rate",
         false},
        {"learning-rate", OPTION_REAL, &s.learning_rate, 1e-9, 1e3, NULL, NULL, "after the warm-up", false},
        {"final-learning-rate", OPTION_REAL, &s.final_learning_rate, 0, 1e3, NULL, NULL,
         "where a cosine ends", false},
        {"decay", OPTION_REAL, &s.decay, 1e-6, 1, NULL, NULL, "factor per epoch of the step schedule", false},
        {"encoder-rate", OPTION_REAL, &s.encoder_rate, 0, 1e3, NULL, NULL,
         "factor for the encoder; pooling (wavlm) and classes have 1", false},
        {"warmup", OPTION_REAL, &s.warmup, 0, 0.99, NULL, NULL, "share of the steps", false},
        {"momentum", OPTION_REAL, &s.momentum, 0, 0.9999, NULL, NULL, "of SGD", false},
        {"nesterov", OPTION_FLAG, &s.nesterov, 0, 0, NULL, NULL, "Nesterov's form of it", false},
        {"weight-decay", OPTION_REAL, &s.weight_decay, 0, 10, NULL, NULL, "on matrices only", false},
        {"clip", OPTION_REAL, &s.clip, 0, 1e9, NULL, NULL, "largest gradient norm; 0: any", false},
        {"Running", OPTION_HEADING, NULL, 0, 0, NULL, NULL, NULL, false},
        {"log-every", OPTION_INTEGER, &s.log_every, 1, 1e9, NULL, NULL, "steps between lines of the log",
         false},
        {"checkpoint-every", OPTION_INTEGER, &s.checkpoint_every, 0, 1e9, NULL, NULL,
         "steps between checkpoints; 0: by time only", false},
        {"checkpoint-minutes", OPTION_REAL, &s.checkpoint_minutes, 0, 1e6, NULL, NULL,
         "minutes between checkpoints; 0: by steps only", false},
        {"loaders", OPTION_INTEGER, &s.loaders, 1, 64, NULL, NULL, "threads that prepare batches", false},
        {0}};
    Program program = {.name = "finetune",
                       .summary = "Trains an encoder to tell pseudo-speakers apart (AAM-softmax).",
                       .usage = "[options] --audio DIR --labels FILE --out FILE",
                       .details =
                           "Interrupted, the same command goes on from its last checkpoint, FILE.resume."};
    program_begin(&program, options, argc, argv);
    Error error = {0};
    Finetuning f = {0};
    int64_t n_steps = 0;
    int status = train(&program, &s, &f, &n_steps, &error);
    release(&f);
    if (status < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%lld steps", (long long)n_steps);
}
