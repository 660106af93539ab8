// voxloop-pretrain: a speaker encoder from audio alone, by self-distillation (DINO). Publishes the teacher.
#include <math.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/corpus.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/up_to_date.h"
#include "train/architecture.h"
#include "train/dino_trainer.h"
#include "train/plan.h"
#include "train/settings.h"

enum { UTTS_PER_CLUSTER = 10 }; // of --ssps-clusters 0

typedef struct Settings {
    TrainSettings train;
    int64_t long_crops, long_frames, short_crops, short_frames;
    int64_t prototypes, hidden, bottleneck;
    double student_temperature, teacher_temperature, teacher_temperature_start, teacher_temperature_warmup;
    double center_momentum, ema, frozen_epochs;
    double variance_weight, covariance_weight, koleo_weight;
    int64_t ssps_epoch, ssps_clusters;
} Settings;

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

static DinoOptions dino_of(const Settings *s, const Pretraining *p, int64_t seed, int64_t n_steps)
{
    double epoch = sampler_steps_per_epoch(p->sampler);
    int64_t n_utts = p->corpus ? corpus_count(p->corpus) : s->train.plan;
    return (DinoOptions){
        .architecture = p->architecture,
        .head = {.hidden_dim = s->hidden, .bottleneck_dim = s->bottleneck, .n_prototypes = s->prototypes},
        .optimizer = train_optimizer(&s->train),
        .learning_rate = train_cosine(&s->train, n_steps),
        .momentum = {.kind = SCHEDULE_COSINE, .peak = s->ema, .end = 1, .length = n_steps},
        .teacher_temperature = {.kind = SCHEDULE_CONSTANT,
                                .peak = s->teacher_temperature,
                                .warmup_steps = llround(s->teacher_temperature_warmup * (double)n_steps),
                                .warmup_start = s->teacher_temperature_start},
        .student_temperature = s->student_temperature,
        .center_momentum = s->center_momentum,
        .clip_norm = s->train.clip,
        .variance_weight = s->variance_weight,
        .covariance_weight = s->covariance_weight,
        .koleo_weight = s->koleo_weight,
        .last_layer_frozen = (int64_t)ceil(s->frozen_epochs * epoch),
        .ssps_first = (int64_t)ceil((double)(train_epoch(&s->train, epoch, s->ssps_epoch) - 1) * epoch),
        .ssps_every = s->ssps_epoch > 0 ? (int64_t)ceil(epoch) : 0,
        .ssps_clusters =
            s->ssps_clusters > 0 ? s->ssps_clusters : (n_utts + UTTS_PER_CLUSTER - 1) / UTTS_PER_CLUSTER,
        .n_utts = n_utts,
        .groups = {{s->long_crops, s->long_frames}, {s->short_crops, s->short_frames}},
        .batch_size = s->train.batch,
        .n_parts = s->train.parts,
        .seed = seed};
}

static int open_inputs(const Settings *s, int64_t seed, Pretraining *p, Error *error)
{
    if (!(p->corpus = corpus_open(s->train.audio, error)) ||
        train_augmenter(&s->train, p->corpus, seed, &p->augmenter, error) < 0)
        return -1;
    p->sampler = sampler_create_plain(corpus_count(p->corpus), s->train.batch, (uint64_t)seed);
    p->architecture = architecture_parse(s->train.encoder, s->train.architecture, error);
    return p->architecture ? 0 : -1;
}

static int create_trainer(const Settings *s, const DinoOptions *options, Pretraining *p, Error *error)
{
    if (s->ssps_epoch > 0 && s->short_crops == 0)
        return error_set(error,
                         "--ssps-epoch pairs long crops with short ones: --short-crops must be 1 or more");
    if (!(p->trainer = dino_trainer_create(options, error)))
        return -1;
    const Encoder *encoder = dino_trainer_encoder(p->trainer);
    if (train_check_crop(&s->train, encoder, s->long_frames, error) < 0)
        return -1;
    return s->short_crops ? train_check_crop(&s->train, encoder, s->short_frames, error) : 0;
}

static int train(const Program *program, const Settings *s, Pretraining *p, int64_t *n_steps, Error *error)
{
    char recipe[17];
    if (open_inputs(s, program->seed, p, error) < 0 || provenance_recipe(program, recipe, error) < 0)
        return -1;
    *n_steps = train_steps(&s->train, sampler_steps_per_epoch(p->sampler));
    DinoOptions options = dino_of(s, p, program->seed, *n_steps);
    if (create_trainer(s, &options, p, error) < 0)
        return -1;
    TrainLoop loop =
        train_loop_from(&s->train, program, recipe, *n_steps, p->corpus, p->sampler, p->augmenter);
    dino_trainer_attach(p->trainer, &loop);
    ModelInfo info = {p->architecture, *n_steps, program->seed, recipe};
    if (train_loop_run(&loop, error) < 0 ||
        dino_trainer_publish(p->trainer, s->train.out, &info, error) < 0 ||
        provenance_publish(program, s->train.out, error) < 0)
        return -1;
    train_loop_finish(&loop);
    return 0;
}

static int plan(const Program *program, const Settings *s, Pretraining *p, Error *error)
{
    p->sampler = sampler_create_plain(s->train.plan, s->train.batch, (uint64_t)program->seed);
    if (!(p->architecture = architecture_parse(s->train.encoder, s->train.architecture, error)))
        return -1;
    int64_t n_steps = train_steps(&s->train, sampler_steps_per_epoch(p->sampler));
    TrainLoop loop = train_loop_from(&s->train, program, "plan", n_steps, NULL, p->sampler, NULL);
    StepCost costs[PLAN_BATCHES];
    for (int i = 0; i < PLAN_BATCHES; i++) {
        DinoOptions options = dino_of(s, p, program->seed, n_steps);
        options.batch_size = loop.batches.batch_size = plan_batch(i, s->train.parts);
        options.n_parts = plan_parts(s->train.parts);
        dino_trainer_destroy(p->trainer);
        if (create_trainer(s, &options, p, error) < 0)
            return -1;
        dino_trainer_attach(p->trainer, &loop);
        if (plan_measure(&loop, &costs[i], error) < 0)
            return -1;
    }
    plan_print(&loop, s->train.batch, s->train.parts, costs);
    return 0;
}

static Settings defaults(void)
{
    Settings s = {.train = train_settings_defaults(),
                  .long_crops = 2,
                  .long_frames = 200,
                  .short_crops = 4,
                  .short_frames = 100,
                  .prototypes = 1024,
                  .hidden = 512,
                  .bottleneck = 256,
                  .student_temperature = 0.1,
                  .teacher_temperature = 0.04,
                  .teacher_temperature_start = 0.04,
                  .center_momentum = 0.9,
                  .ema = 0.996,
                  .frozen_epochs = 1};
    s.train.learning_rate = 0.2;
    s.train.weight_decay = 5e-5;
    s.train.clip = 3;
    return s;
}

int main(int argc, char **argv)
{
    Settings s = defaults();
    const Option own[] = {
        option_required(option_input("audio", &s.train.audio, "DIR", "audio as voxloop-prepare leaves it")),
        option_required(option_output("out", &s.train.out, "FILE",
                                      "the model (safetensors); pretrain.log lies beside it")),
        option_choice("encoder", &s.train.encoder, architecture_names(), "kind of encoder"),
        option_text("architecture", &s.train.architecture, "KEY=VALUE,...",
                    "its sizes; small, the default: for small corpora"),
        option_heading("Distillation"),
        option_integer("long-crops", &s.long_crops, 2, 64, "long crops per utterance"),
        option_integer("long-frames", &s.long_frames, 10, 100000, "their length, 10 ms each"),
        option_integer("short-crops", &s.short_crops, 0, 64, "short crops per utterance"),
        option_integer("short-frames", &s.short_frames, 10, 100000, "their length, 10 ms each"),
        option_integer("prototypes", &s.prototypes, 2, 1 << 24, "outputs of the head"),
        option_integer("hidden", &s.hidden, 1, 65536, "the head's hidden width"),
        option_integer("bottleneck", &s.bottleneck, 1, 65536, "the head's bottleneck"),
        option_real("student-temperature", &s.student_temperature, 1e-3, 10, "of the student"),
        option_real("teacher-temperature", &s.teacher_temperature, 1e-3, 10, "of the teacher"),
        option_real("teacher-temperature-start", &s.teacher_temperature_start, 1e-3, 10,
                    "where the teacher's warm-up starts"),
        option_real("teacher-temperature-warmup", &s.teacher_temperature_warmup, 0, 1,
                    "share of the steps that it takes"),
        option_real("center-momentum", &s.center_momentum, 0, 1, "of the teacher's centre"),
        option_real("ema", &s.ema, 0, 1, "the teacher's momentum at first; 1 at the end"),
        option_real("frozen-epochs", &s.frozen_epochs, 0, 1e6, "epochs in which the prototypes stay still"),
        option_real("variance-weight", &s.variance_weight, 0, 1e6,
                    "of embedding dimensions whose deviation is below 1 (RDINO)"),
        option_real("covariance-weight", &s.covariance_weight, 0, 1e6,
                    "of covariance between embedding dimensions (RDINO)"),
        option_real("koleo-weight", &s.koleo_weight, 0, 1e6,
                    "of closeness to the nearest neighbour in the batch (DINOv2: 0.1)"),
        option_integer(
            "ssps-epoch", &s.ssps_epoch, 0, 1000000,
            "from this epoch on, long crops are of another utterance of the cluster (SSPS); 0: never"),
        option_integer("ssps-clusters", &s.ssps_clusters, 0, 1 << 24,
                       "of the teacher's embeddings, made every epoch; 0: one per 10 utterances"),
        {0}};
    Program program = {
        .name = "pretrain",
        .summary = "Learns a speaker encoder from unlabelled audio by self-distillation (DINO).",
        .usage = "[options] --audio DIR --out FILE",
        .details = "Interrupted, the same command goes on from its last checkpoint, FILE.resume. "
                   "--clip holds for every tensor on its own."};
    Option *options = train_options(&s.train, own);
    program_begin(&program, options, argc, argv);
    if (up_to_date(&program, s.train.plan ? NULL : s.train.out))
        return 0;
    if (!s.train.plan)
        outputs_check(&program, NULL);
    Error error = {0};
    Pretraining p = {0};
    int64_t n_steps = 0;
    int status = s.train.plan ? plan(&program, &s, &p, &error) : train(&program, &s, &p, &n_steps, &error);
    release(&p);
    mem_free(options);
    if (status < 0)
        return program_fail(&program, &error);
    if (s.train.plan)
        return program_done(&program, "a plan for %lld utterances", (long long)s.train.plan);
    return program_done(&program, "%lld steps", (long long)n_steps);
}
