// voxloop-warmup: the WavLM-style encoder from audio alone, by masked prediction, for voxloop-finetune to
// start from.
#include "train/architecture.h"
#include "train/masked_trainer.h"
#include "train/training.h"

typedef struct Warmup {
    TrainSettings train;
    MaskedOptions masked; // but for what follows from the steps
    MaskedTrainer *trainer;
} Warmup;

static void release(void *stage)
{
    masked_trainer_destroy(((Warmup *)stage)->trainer);
}

static int open_inputs(void *stage, Training *t, Error *error)
{
    Warmup *w = stage;
    t->sampler =
        sampler_create_plain(t->n_utts, w->train.loop.batches.batch_size, (uint64_t)t->program->seed);
    return training_architecture(t, w->masked.start_path, error);
}

static int create_trainer(void *stage, Training *t, Error *error)
{
    Warmup *w = stage;
    MaskedOptions options = w->masked;
    options.architecture = t->architecture;
    options.optimizer = train_optimizer(&w->train);
    options.learning_rate = train_schedule(&w->train, t->n_steps, t->steps_per_epoch);
    options.clip_norm = w->train.clip_norm;
    options.batch_size = t->loop.batches.batch_size;
    options.seed = t->program->seed;
    masked_trainer_destroy(w->trainer);
    if (!(w->trainer = masked_trainer_create(&options, error)))
        return -1;
    masked_trainer_attach(w->trainer, &t->loop);
    return train_check_crop(&w->train, masked_trainer_encoder(w->trainer), options.crops.n_frames, error);
}

static int publish(void *stage, const Training *t, const ModelInfo *info, Error *error)
{
    return masked_trainer_publish(((Warmup *)stage)->trainer, t->loop.model_path, info, error);
}

static Warmup defaults(void)
{
    Warmup w = {
        .train = train_settings_defaults(),
        .masked = {.n_clusters = 100, .mask_share = 0.65, .mask_length = 10, .crops = {1, 200, false}}};
    w.train.encoder = "wavlm";
    w.train.optimizer_kind = "adamw";
    w.train.learning_rate.peak = 5e-4;
    w.train.clip_norm = 10;
    w.train.augment.probability = 0;
    w.train.loop.batches.mix = 0.2;
    return w;
}

static const Option *warmup_options(Warmup *w)
{
    MaskedOptions *m = &w->masked;
    const Option own[] = {
        option_required(option_input("audio", &w->train.audio, "DIR", "audio as voxloop-prepare leaves it")),
        option_required(option_output("out", &w->train.loop.model_path, "FILE",
                                      "the model (safetensors); warmup.log lies beside it")),
        option_input("init", &m->start_path, "FILE", "weights to start from; they bring their architecture"),
        option_choice("encoder", &w->train.encoder, architecture_names(),
                      "kind of encoder, without --init: one of wavlm's"),
        option_text("architecture", &w->train.architecture, "KEY=VALUE,...",
                    "sizes of the encoder; small, the default: for small corpora"),
        option_integer("frames", &m->crops.n_frames, 10, 100000, "length of a crop, 10 ms each"),
        option_heading("Masked prediction"),
        option_integer("clusters", &m->n_clusters, 2, 1 << 20, "clusters of frames, which are the targets"),
        option_input("targets", &m->target_path, "MODEL",
                     "cluster the frames of this model's layer; default: log-mel frames"),
        option_integer("target-layer", &m->target_layer, 0, 64,
                       "layer of --targets whose frames are clustered"),
        option_real("mask-share", &m->mask_share, 0.01, 0.99, "share of the frames that are masked"),
        option_integer("mask-length", &m->mask_length, 1, 1000,
                       "length of a masked span, in frames of 20 ms"),
        option_real("mix", &w->train.loop.batches.mix, 0, 1,
                    "share of crops with another utterance over a part of them"),
        {0}};
    return train_options(&w->train, own);
}

int main(int argc, char **argv)
{
    static const TrainingKind KIND = {open_inputs, create_trainer, publish, release};
    Warmup w = defaults();
    Program program = {.name = "warmup",
                       .summary = "Learns a WavLM-style encoder from unlabelled audio by masked prediction.",
                       .usage = "[options] --audio DIR --out FILE",
                       .details =
                           "Interrupted, the same command goes on from its last checkpoint, FILE.resume. "
                           "--clip holds for all gradients together."};
    program_begin(&program, warmup_options(&w), argc, argv);
    return training_main(&program, &w.train, &KIND, &w);
}
