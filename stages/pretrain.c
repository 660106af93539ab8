// voxloop-pretrain: a speaker encoder from audio alone, by self-distillation (DINO). Publishes the teacher.
#include <math.h>
#include <string.h>

#include "audio/augment.h"
#include "audio/fbank.h"
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/corpus.h"
#include "cache/provenance.h"
#include "train/architecture.h"
#include "train/dino_trainer.h"
#include "train/train_loop.h"

typedef struct Settings {
    const char *audio, *out, *encoder, *architecture, *noise, *rir, *optimizer;
    double epochs;
    int64_t steps, batch, long_crops, long_frames, short_crops, short_frames;
    double augment;
    int64_t prototypes, hidden, bottleneck;
    double student_temperature, teacher_temperature, teacher_temperature_start, teacher_temperature_warmup;
    double center_momentum, ema, frozen_epochs;
    double learning_rate, final_learning_rate, warmup, momentum, weight_decay, clip;
    int64_t log_every, checkpoint_every, loaders;
    double checkpoint_minutes;
} Settings;

// What does not decide the weights: paths (their content's digest does), logging, checkpoints.
static const char *const NOT_IN_RECIPE[] = {
    "audio", "out", "log-every", "checkpoint-every", "checkpoint-minutes", "loaders", NULL};

static OptimizerOptions optimizer_of(const Settings *s)
{
    OptimizerOptions options =
        optimizer_defaults(strcmp(s->optimizer, "sgd") == 0 ? OPTIMIZER_SGD : OPTIMIZER_ADAMW);
    options.momentum = s->momentum;
    options.weight_decay = s->weight_decay;
    return options;
}

static DinoOptions dino_of(const Settings *s, int64_t seed, const cJSON *architecture, int64_t n_steps,
                           double steps_per_epoch)
{
    int64_t warmup = (int64_t)llround(s->warmup * (double)n_steps);
    int64_t temperature_warmup = (int64_t)llround(s->teacher_temperature_warmup * (double)n_steps);
    return (DinoOptions){
        .architecture = architecture,
        .head = {.hidden_dim = s->hidden, .bottleneck_dim = s->bottleneck, .n_prototypes = s->prototypes},
        .optimizer = optimizer_of(s),
        // The first step is not taken at a rate of 0: the warm-up starts one of its steps in.
        .learning_rate = {.kind = SCHEDULE_COSINE,
                          .peak = s->learning_rate,
                          .end = s->final_learning_rate,
                          .length = n_steps - warmup,
                          .warmup_steps = warmup,
                          .warmup_start = s->learning_rate / (double)(warmup + 1)},
        .momentum = {.kind = SCHEDULE_COSINE, .peak = s->ema, .end = 1, .length = n_steps},
        .teacher_temperature = {.kind = SCHEDULE_CONSTANT,
                                .peak = s->teacher_temperature,
                                .warmup_steps = temperature_warmup,
                                .warmup_start = s->teacher_temperature_start},
        .student_temperature = s->student_temperature,
        .center_momentum = s->center_momentum,
        .clip_norm = s->clip,
        .last_layer_frozen = (int64_t)ceil(s->frozen_epochs * steps_per_epoch),
        .groups = {{s->long_crops, s->long_frames}, {s->short_crops, s->short_frames}},
        .batch_size = s->batch,
        .seed = seed};
}

typedef struct Pretraining {
    Corpus *corpus;
    Augmenter *augmenter;
    Sampler *sampler;
    cJSON *architecture;
    DinoTrainer *trainer;
} Pretraining;

static void release(Pretraining *p)
{
    dino_trainer_destroy(p->trainer);
    cJSON_Delete(p->architecture);
    sampler_destroy(p->sampler);
    augmenter_destroy(p->augmenter);
    corpus_close(p->corpus);
}

static int check_crops(const Settings *s, const DinoTrainer *trainer, Error *error)
{
    int64_t least = dino_trainer_min_input(trainer),
            shortest = s->short_crops ? s->short_frames : s->long_frames;
    int64_t length = dino_trainer_input(trainer) == ENCODER_FBANK ? shortest : fbank_samples(shortest);
    if (length < least)
        return error_set(error, "crops of %lld frames are too short for the encoder, which needs %lld %s",
                         (long long)shortest, (long long)least,
                         dino_trainer_input(trainer) == ENCODER_FBANK ? "frames" : "samples");
    return 0;
}

static int open_inputs(const Settings *s, int64_t seed, Pretraining *p, Error *error)
{
    if (!(p->corpus = corpus_open(s->audio, error)))
        return -1;
    AugmentOptions augment = {.probability = s->augment,
                              .noise_folder = s->noise,
                              .rir_folder = s->rir,
                              .babble = corpus_babble,
                              .babble_context = p->corpus};
    if (s->augment > 0 && !(p->augmenter = augmenter_create(&augment, (uint64_t)seed, error)))
        return -1;
    p->sampler = sampler_create_plain(corpus_count(p->corpus), s->batch, (uint64_t)seed);
    p->architecture = architecture_parse(s->encoder, s->architecture, error);
    return p->architecture ? 0 : -1;
}

static int train(const Program *program, const Settings *s, Pretraining *p, int64_t *n_steps, Error *error)
{
    if (open_inputs(s, program->seed, p, error) < 0)
        return -1;
    double steps_per_epoch = sampler_steps_per_epoch(p->sampler);
    *n_steps = s->steps > 0 ? s->steps : (int64_t)ceil(s->epochs * steps_per_epoch);
    DinoOptions options = dino_of(s, program->seed, p->architecture, *n_steps, steps_per_epoch);
    if (!(p->trainer = dino_trainer_create(&options, error)) || check_crops(s, p->trainer, error) < 0)
        return -1;

    char recipe[17], *json = program_options_json(program);
    recipe_digest(json, NOT_IN_RECIPE, (const char *[]){"pretrain", corpus_digest(p->corpus), NULL}, recipe);
    mem_free(json);
    TrainLoop loop = {.stage = "pretrain",
                      .model_path = s->out,
                      .recipe = recipe,
                      .n_steps = *n_steps,
                      .log_every = s->log_every,
                      .checkpoint_every = s->checkpoint_every,
                      .checkpoint_minutes = s->checkpoint_minutes,
                      .batches = {.corpus = p->corpus,
                                  .sampler = p->sampler,
                                  .seed = (uint64_t)program->seed,
                                  .input = dino_trainer_input(p->trainer),
                                  .augmenter = p->augmenter,
                                  .batch_size = s->batch,
                                  .groups = {options.groups[0], options.groups[1]},
                                  .n_groups = s->short_crops > 0 ? 2 : 1,
                                  .n_loaders = (int)s->loaders}};
    dino_trainer_attach(p->trainer, &loop);
    log_info("%lld utterances, %lld steps of %lld (%.1f epochs)", (long long)corpus_count(p->corpus),
             (long long)*n_steps, (long long)s->batch, (double)*n_steps / steps_per_epoch);
    ModelInfo info = {p->architecture, *n_steps, program->seed, recipe};
    if (train_loop_run(&loop, error) < 0 || dino_trainer_publish(p->trainer, s->out, &info, error) < 0 ||
        provenance_publish(program, s->out, (const char *[]){s->audio, NULL}, error) < 0)
        return -1;
    train_loop_finish(&loop);
    return 0;
}

int main(int argc, char **argv)
{
    Settings s = {.encoder = "ecapa",
                  .optimizer = "sgd",
                  .epochs = 15,
                  .batch = 32,
                  .long_crops = 2,
                  .long_frames = 200,
                  .short_crops = 4,
                  .short_frames = 100,
                  .augment = 0.8,
                  .prototypes = 1024,
                  .hidden = 512,
                  .bottleneck = 256,
                  .student_temperature = 0.1,
                  .teacher_temperature = 0.04,
                  .teacher_temperature_start = 0.04,
                  .center_momentum = 0.9,
                  .ema = 0.996,
                  .frozen_epochs = 1,
                  .learning_rate = 0.2,
                  .final_learning_rate = 1e-5,
                  .warmup = 0.1,
                  .momentum = 0.9,
                  .weight_decay = 5e-5,
                  .clip = 3,
                  .log_every = 10,
                  .checkpoint_minutes = 5,
                  .loaders = 1};
    const Option options[] = {
        {"audio", OPTION_TEXT, &s.audio, 0, 0, NULL, "DIR", "audio as voxloop-prepare leaves it", true},
        {"out", OPTION_TEXT, &s.out, 0, 0, NULL, "FILE",
         "the model (safetensors); pretrain.log lies beside it", true},
        {"encoder", OPTION_CHOICE, &s.encoder, 0, 0, "ecapa|wavlm", NULL, "kind of encoder", false},
        {"architecture", OPTION_TEXT, &s.architecture, 0, 0, NULL, "KEY=VALUE,...",
         "its sizes (default: small ones, for small corpora)", false},
        {"Length and batches", OPTION_HEADING, NULL, 0, 0, NULL, NULL, NULL, false},
        {"epochs", OPTION_REAL, &s.epochs, 0.001, 1e6, NULL, NULL, "times through the corpus", false},
        {"steps", OPTION_INTEGER, &s.steps, 0, 1e12, NULL, NULL, "steps instead of epochs; 0: by epochs",
         false},
        {"batch", OPTION_INTEGER, &s.batch, 2, 65536, NULL, NULL, "utterances of a step", false},
        {"long-crops", OPTION_INTEGER, &s.long_crops, 2, 64, NULL, NULL, "long crops per utterance", false},
        {"long-frames", OPTION_INTEGER, &s.long_frames, 10, 100000, NULL, NULL, "their length, 10 ms each",
         false},
        {"short-crops", OPTION_INTEGER, &s.short_crops, 0, 64, NULL, NULL, "short crops per utterance",
         false},
        {"short-frames", OPTION_INTEGER, &s.short_frames, 10, 100000, NULL, NULL, "their length, 10 ms each",
         false},
        {"augment", OPTION_REAL, &s.augment, 0, 1, NULL, NULL, "share of crops that are augmented", false},
        {"noise", OPTION_TEXT, &s.noise, 0, 0, NULL, "DIR", "noise recordings (default: made ones)", false},
        {"rir", OPTION_TEXT, &s.rir, 0, 0, NULL, "DIR", "room responses (default: made ones)", false},
        {"Distillation", OPTION_HEADING, NULL, 0, 0, NULL, NULL, NULL, false},
        {"prototypes", OPTION_INTEGER, &s.prototypes, 2, 1 << 24, NULL, NULL, "outputs of the head", false},
        {"hidden", OPTION_INTEGER, &s.hidden, 1, 65536, NULL, NULL, "the head's hidden width", false},
        {"bottleneck", OPTION_INTEGER, &s.bottleneck, 1, 65536, NULL, NULL, "the head's bottleneck", false},
        {"student-temperature", OPTION_REAL, &s.student_temperature, 1e-3, 10, NULL, NULL, "of the student",
         false},
        {"teacher-temperature", OPTION_REAL, &s.teacher_temperature, 1e-3, 10, NULL, NULL, "of the teacher",
         false},
        {"teacher-temperature-start", OPTION_REAL, &s.teacher_temperature_start, 1e-3, 10, NULL, NULL,
         "where the teacher's warm-up starts", false},
        {"teacher-temperature-warmup", OPTION_REAL, &s.teacher_temperature_warmup, 0, 1, NULL, NULL,
         "share of the steps that it takes", false},
        {"center-momentum", OPTION_REAL, &s.center_momentum, 0, 1, NULL, NULL, "of the teacher's centre",
         false},
        {"ema", OPTION_REAL, &s.ema, 0, 1, NULL, NULL, "the teacher's momentum at first; 1 at the end",
         false},
        {"frozen-epochs", OPTION_REAL, &s.frozen_epochs, 0, 1e6, NULL, NULL,
         "epochs in which the prototypes stay still", false},
        {"Optimisation", OPTION_HEADING, NULL, 0, 0, NULL, NULL, NULL, false},
        {"optimizer", OPTION_CHOICE, &s.optimizer, 0, 0, "sgd|adamw", NULL, "kind of optimiser", false},
        {"learning-rate", OPTION_REAL, &s.learning_rate, 1e-9, 1e3, NULL, NULL, "after the warm-up", false},
        {"final-learning-rate", OPTION_REAL, &s.final_learning_rate, 0, 1e3, NULL, NULL,
         "where the cosine ends", false},
        {"warmup", OPTION_REAL, &s.warmup, 0, 0.99, NULL, NULL, "share of the steps", false},
        {"momentum", OPTION_REAL, &s.momentum, 0, 0.9999, NULL, NULL, "of SGD", false},
        {"weight-decay", OPTION_REAL, &s.weight_decay, 0, 10, NULL, NULL, "on matrices only", false},
        {"clip", OPTION_REAL, &s.clip, 0, 1e9, NULL, NULL, "largest gradient norm of a tensor; 0: any",
         false},
        {"Running", OPTION_HEADING, NULL, 0, 0, NULL, NULL, NULL, false},
        {"log-every", OPTION_INTEGER, &s.log_every, 1, 1e9, NULL, NULL, "steps between lines of the log",
         false},
        {"checkpoint-every", OPTION_INTEGER, &s.checkpoint_every, 0, 1e9, NULL, NULL,
         "steps between checkpoints; 0: by time only", false},
        {"checkpoint-minutes", OPTION_REAL, &s.checkpoint_minutes, 0, 1e6, NULL, NULL,
         "minutes between checkpoints; 0: by steps only", false},
        {"loaders", OPTION_INTEGER, &s.loaders, 1, 64, NULL, NULL, "threads that prepare batches", false},
        {0}};
    Program program = {
        .name = "pretrain",
        .summary = "Learns a speaker encoder from unlabelled audio by self-distillation (DINO).",
        .usage = "[options] --audio DIR --out FILE",
        .details = "Interrupted, the same command goes on from its last checkpoint, FILE.resume."};
    program_begin(&program, options, argc, argv);
    Error error = {0};
    Pretraining p = {0};
    int64_t n_steps = 0;
    int status = train(&program, &s, &p, &n_steps, &error);
    release(&p);
    if (status < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%lld steps", (long long)n_steps);
}
