// voxloop-pretrain: a speaker encoder from audio alone, by self-distillation (DINO). Publishes the teacher.
#include <math.h>

#include "train/architecture.h"
#include "train/dino_trainer.h"
#include "train/training.h"

enum { UTTS_PER_CLUSTER = 10, LONG = 0, SHORT = 1 }; // of --ssps-clusters 0; crop groups

typedef struct Pretraining {
    TrainSettings train;
    DinoOptions dino;          // but for what follows from the corpus and the steps
    double temperature_warmup; // share of the steps
    double frozen_epochs;
    int64_t ssps_epoch;
    DinoTrainer *trainer;
} Pretraining;

static void release(void *stage)
{
    dino_trainer_destroy(((Pretraining *)stage)->trainer);
}

static int open_inputs(void *stage, Training *t, Error *error)
{
    Pretraining *p = stage;
    if (p->ssps_epoch > 0 && p->dino.groups[SHORT].n_views == 0)
        return error_set(error,
                         "--ssps-epoch pairs long crops with short ones: --short-crops must be 1 or more");
    t->sampler =
        sampler_create_plain(t->n_utts, p->train.loop.batches.batch_size, (uint64_t)t->program->seed);
    return training_architecture(t, NULL, error);
}

// The user's choices, with what follows from corpus and steps.
static DinoOptions dino_of(const Pretraining *p, const Training *t)
{
    DinoOptions o = p->dino;
    double epoch = t->steps_per_epoch;
    o.architecture = t->architecture;
    o.optimizer = train_optimizer(&p->train);
    o.learning_rate = train_schedule(&p->train, t->n_steps, t->steps_per_epoch);
    o.momentum.length = t->n_steps;
    o.teacher_temperature.warmup_steps = llround(p->temperature_warmup * (double)t->n_steps);
    o.clip_norm = p->train.clip_norm;
    o.last_layer_frozen = (int64_t)ceil(p->frozen_epochs * epoch);
    o.ssps_first = (int64_t)ceil((double)(train_epoch(&p->train, epoch, p->ssps_epoch) - 1) * epoch);
    o.ssps_every = p->ssps_epoch > 0 ? (int64_t)ceil(epoch) : 0;
    if (o.ssps_clusters == 0)
        o.ssps_clusters = (t->n_utts + UTTS_PER_CLUSTER - 1) / UTTS_PER_CLUSTER;
    o.n_utts = t->n_utts;
    o.batch_size = t->loop.batches.batch_size;
    o.n_parts = t->n_parts;
    o.seed = t->program->seed;
    return o;
}

static int create_trainer(void *stage, Training *t, Error *error)
{
    Pretraining *p = stage;
    DinoOptions options = dino_of(p, t);
    dino_trainer_destroy(p->trainer);
    if (!(p->trainer = dino_trainer_create(&options, error)))
        return -1;
    dino_trainer_attach(p->trainer, &t->loop);
    const Encoder *encoder = dino_trainer_encoder(p->trainer);
    for (int g = LONG; g <= SHORT; g++)
        if (options.groups[g].n_views > 0 &&
            train_check_crop(&p->train, encoder, options.groups[g].n_frames, error) < 0)
            return -1;
    return 0;
}

static int publish(void *stage, const Training *t, const ModelInfo *info, Error *error)
{
    return dino_trainer_publish(((Pretraining *)stage)->trainer, t->loop.model_path, info, error);
}

static Pretraining defaults(void)
{
    Pretraining p = {
        .train = train_settings_defaults(),
        .dino = {.head = {.hidden_dim = 512, .bottleneck_dim = 256, .n_prototypes = 1024},
                 .momentum = {.kind = SCHEDULE_COSINE, .peak = 0.996, .end = 1},
                 .teacher_temperature = {.kind = SCHEDULE_CONSTANT, .peak = 0.04, .warmup_start = 0.04},
                 .student_temperature = 0.1,
                 .center_momentum = 0.9,
                 .groups = {{2, 200, false}, {4, 100, false}}},
        .frozen_epochs = 1};
    p.train.learning_rate.peak = 0.2;
    p.train.optimizer.weight_decay = 5e-5;
    p.train.clip_norm = 3;
    return p;
}

static const Option *pretrain_options(Pretraining *p)
{
    DinoOptions *d = &p->dino;
    const Option own[] = {
        option_required(option_input("audio", &p->train.audio, "DIR", "audio as voxloop-prepare leaves it")),
        option_required(option_output("out", &p->train.loop.model_path, "FILE",
                                      "the model (safetensors); pretrain.log lies beside it")),
        option_choice("encoder", &p->train.encoder, architecture_names(), "kind of encoder"),
        option_text("architecture", &p->train.architecture, "KEY=VALUE,...",
                    "sizes of the encoder; small, the default: for small corpora"),
        train_parts_option(&p->train),
        option_heading("Distillation"),
        option_integer("long-crops", &d->groups[LONG].n_views, 2, 64, "long crops per utterance"),
        option_integer("long-frames", &d->groups[LONG].n_frames, 10, 100000,
                       "length of a long crop, 10 ms each"),
        option_integer("short-crops", &d->groups[SHORT].n_views, 0, 64, "short crops per utterance"),
        option_integer("short-frames", &d->groups[SHORT].n_frames, 10, 100000,
                       "length of a short crop, 10 ms each"),
        option_integer("prototypes", &d->head.n_prototypes, 2, 1 << 24, "outputs of the head"),
        option_integer("hidden", &d->head.hidden_dim, 1, 65536, "hidden width of the head"),
        option_integer("bottleneck", &d->head.bottleneck_dim, 1, 65536,
                       "width of the head before its outputs"),
        option_real("student-temperature", &d->student_temperature, 1e-3, 10, "temperature of the student"),
        option_real("teacher-temperature", &d->teacher_temperature.peak, 1e-3, 10,
                    "temperature of the teacher"),
        option_real("teacher-temperature-start", &d->teacher_temperature.warmup_start, 1e-3, 10,
                    "temperature of the teacher at first, where it has a warm-up"),
        option_real("teacher-temperature-warmup", &p->temperature_warmup, 0, 1,
                    "share of the steps in which the teacher's temperature rises"),
        option_real("center-momentum", &d->center_momentum, 0, 1, "momentum of the teacher's centre"),
        option_real("ema", &d->momentum.peak, 0, 1, "momentum of the teacher at first; it is 1 at the end"),
        option_real("frozen-epochs", &p->frozen_epochs, 0, 1e6, "epochs in which the prototypes stay still"),
        option_real("variance-weight", &d->variance_weight, 0, 1e6,
                    "weight of the loss of embedding dimensions whose deviation is below 1 (RDINO)"),
        option_real("covariance-weight", &d->covariance_weight, 0, 1e6,
                    "weight of the loss of covariance between embedding dimensions (RDINO)"),
        option_real("koleo-weight", &d->koleo_weight, 0, 1e6,
                    "weight of the loss of closeness to the nearest neighbour in the batch (DINOv2: 0.1)"),
        option_integer(
            "ssps-epoch", &p->ssps_epoch, 0, 1000000,
            "from this epoch on, long crops are of another utterance of the cluster (SSPS); 0: never"),
        option_integer(
            "ssps-clusters", &d->ssps_clusters, 0, 1 << 24,
            "clusters of the teacher's embeddings for --ssps-epoch, made every epoch; 0: one per 10 "
            "utterances"),
        {0}};
    return train_options(&p->train, own);
}

int main(int argc, char **argv)
{
    static const TrainingKind KIND = {open_inputs, create_trainer, publish, release};
    Pretraining p = defaults();
    Program program = {
        .name = "pretrain",
        .summary = "Learns a speaker encoder from unlabelled audio by self-distillation (DINO).",
        .usage = "[options] --audio DIR --out FILE",
        .details = "Interrupted, the same command goes on from its last checkpoint, FILE.resume. "
                   "--clip holds for every tensor on its own."};
    program_begin(&program, pretrain_options(&p), argc, argv);
    return training_main(&program, &p.train, &KIND, &p);
}
