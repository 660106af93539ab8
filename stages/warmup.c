// voxloop-warmup: the WavLM-style encoder from audio alone, by masked prediction, for voxloop-finetune to
// start from.
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/corpus.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/up_to_date.h"
#include "train/architecture.h"
#include "train/masked_trainer.h"
#include "train/settings.h"

typedef struct Settings {
    TrainSettings train;
    const char *init, *targets;
    int64_t frames, clusters, target_layer, mask_length;
    double mask_share, mix;
} Settings;

typedef struct Warmup {
    Corpus *corpus;
    Augmenter *augmenter;
    Sampler *sampler;
    cJSON *architecture;
    MaskedTrainer *trainer;
} Warmup;

static void release(Warmup *w)
{
    masked_trainer_destroy(w->trainer);
    cJSON_Delete(w->architecture);
    sampler_destroy(w->sampler);
    augmenter_destroy(w->augmenter);
    corpus_close(w->corpus);
}

static MaskedOptions masked_of(const Settings *s, const Warmup *w, int64_t seed, int64_t n_steps)
{
    return (MaskedOptions){.architecture = w->architecture,
                           .start_path = s->init,
                           .n_clusters = s->clusters,
                           .target_path = s->targets,
                           .target_layer = s->target_layer,
                           .mask_share = s->mask_share,
                           .mask_length = s->mask_length,
                           .optimizer = train_optimizer(&s->train),
                           .learning_rate = train_cosine(&s->train, n_steps),
                           .clip_norm = s->train.clip,
                           .crops = {1, s->frames, false},
                           .batch_size = s->train.batch,
                           .seed = seed};
}

static int open_inputs(const Settings *s, int64_t seed, Warmup *w, Error *error)
{
    if (!(w->corpus = corpus_open(s->train.audio, error)) ||
        train_augmenter(&s->train, w->corpus, seed, &w->augmenter, error) < 0)
        return -1;
    w->sampler = sampler_create_plain(corpus_count(w->corpus), s->train.batch, (uint64_t)seed);
    w->architecture = s->init ? model_architecture(s->init, error)
                              : architecture_parse(s->train.encoder, s->train.architecture, error);
    return w->architecture ? 0 : -1;
}

static int train(const Program *program, const Settings *s, Warmup *w, int64_t *n_steps, Error *error)
{
    char recipe[17];
    if (open_inputs(s, program->seed, w, error) < 0 || provenance_recipe(program, recipe, error) < 0)
        return -1;
    *n_steps = train_steps(&s->train, sampler_steps_per_epoch(w->sampler));
    MaskedOptions options = masked_of(s, w, program->seed, *n_steps);
    if (!(w->trainer = masked_trainer_create(&options, error)) ||
        train_check_crop(&s->train, masked_trainer_encoder(w->trainer), s->frames, error) < 0)
        return -1;
    TrainLoop loop =
        train_loop_from(&s->train, program, recipe, *n_steps, w->corpus, w->sampler, w->augmenter);
    loop.batches.mix = s->mix;
    masked_trainer_attach(w->trainer, &loop);
    ModelInfo info = {w->architecture, *n_steps, program->seed, recipe};
    if (train_loop_run(&loop, error) < 0 ||
        masked_trainer_publish(w->trainer, s->train.out, &info, error) < 0 ||
        provenance_publish(program, s->train.out, error) < 0)
        return -1;
    train_loop_finish(&loop);
    return 0;
}

static Settings defaults(void)
{
    Settings s = {.train = train_settings_defaults(),
                  .frames = 200,
                  .clusters = 100,
                  .mask_length = 10,
                  .mask_share = 0.65,
                  .mix = 0.2};
    s.train.encoder = "wavlm";
    s.train.optimizer = "adamw";
    s.train.learning_rate = 5e-4;
    s.train.clip = 10;
    s.train.augment = 0;
    return s;
}

int main(int argc, char **argv)
{
    Settings s = defaults();
    const Option own[] = {
        option_required(option_input("audio", &s.train.audio, "DIR", "audio as voxloop-prepare leaves it")),
        option_required(
            option_output("out", &s.train.out, "FILE", "the model (safetensors); warmup.log lies beside it")),
        option_input("init", &s.init, "FILE", "weights to start from; they bring their architecture"),
        option_choice("encoder", &s.train.encoder, architecture_names(),
                      "kind of encoder, without --init: one of wavlm's"),
        option_text("architecture", &s.train.architecture, "KEY=VALUE,...",
                    "its sizes; small, the default: for small corpora"),
        option_integer("frames", &s.frames, 10, 100000, "length of a crop, 10 ms each"),
        option_heading("Masked prediction"),
        option_integer("clusters", &s.clusters, 2, 1 << 20, "of frames, which are the targets"),
        option_input("targets", &s.targets, "MODEL",
                     "cluster the frames of this model's layer; default: log-mel frames"),
        option_integer("target-layer", &s.target_layer, 0, 64, "which layer of it"),
        option_real("mask-share", &s.mask_share, 0.01, 0.99, "of the frames"),
        option_integer("mask-length", &s.mask_length, 1, 1000, "of a span, in frames of 20 ms"),
        option_real("mix", &s.mix, 0, 1, "share of crops with another utterance over a part of them"),
        {0}};
    Program program = {.name = "warmup",
                       .summary = "Learns a WavLM-style encoder from unlabelled audio by masked prediction.",
                       .usage = "[options] --audio DIR --out FILE",
                       .details =
                           "Interrupted, the same command goes on from its last checkpoint, FILE.resume. "
                           "--clip holds for all gradients together."};
    Option *options = train_options(&s.train, own);
    program_begin(&program, options, argc, argv);
    Error error = {0};
    Warmup w = {0};
    int64_t n_steps = 0;
    if (s.train.plan)
        program_misuse(&program, "--plan is not for this stage");
    if (s.train.parts > 1)
        program_misuse(&program, "--parts is not for this stage");
    if (up_to_date(&program, s.train.out))
        return 0;
    outputs_check(&program, NULL);
    int status = train(&program, &s, &w, &n_steps, &error);
    release(&w);
    mem_free(options);
    if (status < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%lld steps", (long long)n_steps);
}
