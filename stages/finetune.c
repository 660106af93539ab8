// voxloop-finetune: an encoder that tells pseudo-speakers apart (AAM-softmax and other objectives), from
// scratch or from weights.
#include <math.h>
#include <string.h>

#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/corpus.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/up_to_date.h"
#include "train/architecture.h"
#include "train/classifier_trainer.h"
#include "train/labelling.h"
#include "train/plan.h"
#include "train/settings.h"
#include "train/teacher.h"

typedef struct Settings {
    TrainSettings train;
    const char *labels, *init, *schedule, *freeze, *objectives, *teacher;
    int64_t frames, most_per_speaker, views, subcentres, gate_epoch, correct_epoch, plan_classes;
    double margin, margin_start, margin_ramp, scale, pull, decay, encoder_rate, confidence;
    double temperature, contrast_margin;
    bool easy_margin, nesterov, keep_classes, speed, balance, same_recording;
} Settings;

typedef struct Finetuning {
    Corpus *corpus;
    Augmenter *augmenter;
    Sampler *sampler;
    cJSON *architecture;
    Labelling labelling;
    ObjectiveNeeds needs;
    int64_t n_views; // utterances of one class in a batch
    Teacher teacher;
    ClassifierTrainer *trainer;
} Finetuning;

static void release(Finetuning *f)
{
    classifier_trainer_destroy(f->trainer);
    cJSON_Delete(f->architecture);
    sampler_destroy(f->sampler);
    augmenter_destroy(f->augmenter);
    corpus_close(f->corpus);
    labelling_release(&f->labelling);
    teacher_release(&f->teacher);
}

// --- training

static Schedule schedule_of(const Settings *s, int64_t n_steps, double steps_per_epoch)
{
    Schedule schedule = train_cosine(&s->train, n_steps);
    schedule.factor = s->decay;
    schedule.every = (int64_t)steps_per_epoch;
    if (strcmp(s->schedule, "step") == 0)
        schedule.kind = SCHEDULE_STEP;
    else if (strcmp(s->schedule, "constant") == 0)
        schedule.kind = SCHEDULE_CONSTANT;
    return schedule;
}

static OptimizerOptions optimizer_of(const Settings *s)
{
    OptimizerOptions options = train_optimizer(&s->train);
    options.nesterov = s->nesterov;
    return options;
}

static ClassifierOptions classifier_of(const Settings *s, const Finetuning *f, int64_t seed, int64_t n_steps)
{
    double steps_per_epoch = sampler_steps_per_epoch(f->sampler);
    return (ClassifierOptions){
        .architecture = f->architecture,
        .start_path = s->init,
        .keep_classes = s->keep_classes,
        .freeze = s->freeze,
        .labels = f->labelling.labels,
        .objectives = s->objectives,
        .objective = {.n_classes = f->labelling.n_classes,
                      .n_views = f->n_views,
                      .teacher_dim = f->teacher.dim,
                      .scale = s->scale,
                      .subcentres = s->subcentres,
                      .easy_margin = s->easy_margin,
                      .temperature = s->temperature,
                      .contrast_margin = s->contrast_margin},
        .teacher = f->teacher.rows,
        .balance = s->balance,
        .margin = {s->margin_start, s->margin, 0, (int64_t)llround(s->margin_ramp * (double)n_steps), false},
        .optimizer = optimizer_of(s),
        .learning_rate = schedule_of(s, n_steps, steps_per_epoch),
        .encoder_rate_factor = s->encoder_rate,
        .pull = s->pull,
        .clip_norm = s->train.clip,
        .crops = {1, s->frames, false},
        .gate = {train_epoch(&s->train, steps_per_epoch, s->gate_epoch),
                 train_epoch(&s->train, steps_per_epoch, s->correct_epoch), 0.1, s->confidence,
                 f->labelling.n_utts, (int64_t)steps_per_epoch},
        .batch_size = s->train.batch,
        .n_parts = s->train.parts,
        .seed = seed};
}

static int check_settings(const Settings *s, const Finetuning *f, Error *error)
{
    if (s->correct_epoch > 0 && (s->gate_epoch == 0 || s->gate_epoch > s->correct_epoch))
        return error_set(error, "--correct-epoch %lld needs a --gate-epoch from 1 to %lld",
                         (long long)s->correct_epoch, (long long)s->correct_epoch);
    if (s->correct_epoch > 0 && s->speed)
        return error_set(error, "--correct-epoch would mix up the speeds of --speed; leave one of them out");
    if (s->gate_epoch > 0 && !f->needs.aam)
        return error_set(error, "--gate-epoch looks at the losses of objective aam, which %s lacks",
                         s->objectives);
    if (f->needs.teacher != (s->teacher != NULL))
        return error_set(error, "objective teacher and --teacher FILE go together; one of them is missing");
    if (s->teacher && s->speed)
        return error_set(error, "--teacher knows no other speeds; leave --speed out");
    if (s->train.batch % f->n_views != 0 || (f->needs.pairs && f->n_views < 2))
        return error_set(
            error, "--batch %lld must be a multiple of --views %lld, which is at least %d for %s",
            (long long)s->train.batch, (long long)f->n_views, f->needs.pairs ? 2 : 1, s->objectives);
    return 0;
}

static int create_sampler(const Settings *s, int64_t seed, Finetuning *f, Error *error)
{
    int64_t n_views = f->n_views, batch = s->train.batch;
    Labelling *l = &f->labelling;
    if (n_views == 1) {
        f->sampler = sampler_create_balanced(l->labels, l->n_utts, l->n_classes, s->most_per_speaker, batch,
                                             (uint64_t)seed);
        return 0;
    }
    if (labelling_drop_small(l, s->same_recording ? 1 : n_views, batch / n_views, error) < 0)
        return -1;
    f->sampler = sampler_create_grouped(l->labels, l->n_utts, l->n_classes, s->most_per_speaker, batch,
                                        n_views, s->same_recording, (uint64_t)seed);
    return 0;
}

// What the labels and the settings decide, whether the labels are true or planned.
static int prepare_training(const Settings *s, int64_t seed, Finetuning *f, Error *error)
{
    if (objectives_needs(s->objectives, &f->needs, error) < 0)
        return -1;
    f->n_views = s->views ? s->views : f->needs.pairs ? 2 : 1;
    if (check_settings(s, f, error) < 0)
        return -1;
    if (s->speed)
        labelling_add_speeds(&f->labelling);
    if (create_sampler(s, seed, f, error) < 0)
        return -1;
    // Weights bring their architecture with them.
    f->architecture = s->init ? model_architecture(s->init, error)
                              : architecture_parse(s->train.encoder, s->train.architecture, error);
    return f->architecture ? 0 : -1;
}

static int create_trainer(const Settings *s, const ClassifierOptions *options, Finetuning *f, Error *error)
{
    if (!(f->trainer = classifier_trainer_create(options, error)))
        return -1;
    return train_check_crop(&s->train, classifier_trainer_encoder(f->trainer), s->frames, error);
}

// gate.json beside the model, for the report.
static int publish_gate(const Program *program, const Settings *s, const Finetuning *f, Error *error)
{
    if (s->gate_epoch == 0)
        return 0;
    char *folder = path_folder(s->train.out), *path = path_join(folder, "gate.json");
    int status = gate_publish(classifier_trainer_gate(f->trainer), path, error);
    provenance_also_wrote(program, path);
    mem_free(path);
    mem_free(folder);
    return status;
}

static int train(const Program *program, const Settings *s, Finetuning *f, int64_t *n_steps, Error *error)
{
    char recipe[17];
    if (!(f->corpus = corpus_open(s->train.audio, error)) ||
        labelling_load(s->labels, f->corpus, &f->labelling, error) < 0 ||
        train_augmenter(&s->train, f->corpus, program->seed, &f->augmenter, error) < 0 ||
        (s->teacher && teacher_load(s->teacher, f->corpus, &f->teacher, error) < 0) ||
        prepare_training(s, program->seed, f, error) < 0 || provenance_recipe(program, recipe, error) < 0)
        return -1;
    *n_steps = train_steps(&s->train, sampler_steps_per_epoch(f->sampler));
    ClassifierOptions options = classifier_of(s, f, program->seed, *n_steps);
    if (create_trainer(s, &options, f, error) < 0)
        return -1;
    TrainLoop loop =
        train_loop_from(&s->train, program, recipe, *n_steps, f->corpus, f->sampler, f->augmenter);
    classifier_trainer_attach(f->trainer, &loop);
    ModelInfo info = {f->architecture, *n_steps, program->seed, recipe};
    if (train_loop_run(&loop, error) < 0 || publish_gate(program, s, f, error) < 0 ||
        classifier_trainer_publish(f->trainer, s->train.out, &info, error) < 0 ||
        provenance_publish(program, s->train.out, error) < 0)
        return -1;
    train_loop_finish(&loop);
    return 0;
}

// Utterances in turn from as many pseudo-speakers as are planned for.
static int plan(const Program *program, const Settings *s, Finetuning *f, Error *error)
{
    f->labelling = labelling_plan(s->train.plan, s->plan_classes);
    if (prepare_training(s, program->seed, f, error) < 0)
        return -1;
    int64_t n_steps = train_steps(&s->train, sampler_steps_per_epoch(f->sampler));
    TrainLoop loop = train_loop_from(&s->train, program, "plan", n_steps, NULL, f->sampler, NULL);
    StepCost costs[PLAN_BATCHES];
    for (int i = 0; i < PLAN_BATCHES; i++) {
        ClassifierOptions options = classifier_of(s, f, program->seed, n_steps);
        options.batch_size = loop.batches.batch_size = plan_batch(i, s->train.parts);
        options.n_parts = plan_parts(s->train.parts);
        classifier_trainer_destroy(f->trainer);
        if (create_trainer(s, &options, f, error) < 0)
            return -1;
        classifier_trainer_attach(f->trainer, &loop);
        if (plan_measure(&loop, &costs[i], error) < 0)
            return -1;
    }
    plan_print(&loop, s->train.batch, s->train.parts, costs);
    return 0;
}

static Settings defaults(void)
{
    Settings s = {.train = train_settings_defaults(),
                  .schedule = "cosine",
                  .objectives = "aam",
                  .temperature = 0.07,
                  .frames = 200,
                  .most_per_speaker = 500,
                  .plan_classes = 5000,
                  .margin = 0.2,
                  .margin_ramp = 0.5,
                  .scale = 30,
                  .subcentres = 1,
                  .decay = 0.95,
                  .confidence = 0.5,
                  .encoder_rate = 1,
                  .nesterov = true};
    s.train.epochs = 40;
    return s;
}

int main(int argc, char **argv)
{
    Settings s = defaults();
    const Option own[] = {
        option_required(option_input("audio", &s.train.audio, "DIR", "audio as voxloop-prepare leaves it")),
        option_required(
            option_input("labels", &s.labels, "FILE", "label shard of voxloop-cluster, or an utt2spk list")),
        option_required(option_output("out", &s.train.out, "FILE",
                                      "the model (safetensors); finetune.log lies beside it")),
        option_input("init", &s.init, "FILE", "weights to start from; they bring their architecture"),
        option_flag("keep-classes", &s.keep_classes,
                    "start from the classes of --init as well, which was trained on the same labels"),
        option_choice("encoder", &s.train.encoder, architecture_names(), "kind of encoder, without --init"),
        option_text("architecture", &s.train.architecture, "KEY=VALUE,...",
                    "its sizes; small, the default: for small corpora"),
        option_text("freeze", &s.freeze, "PREFIX,...", "parameters that stay as they are"),
        option_integer("frames", &s.frames, 10, 100000, "length of a crop, 10 ms each"),
        option_integer("most-per-speaker", &s.most_per_speaker, 1, 1e9,
                       "utterances of one pseudo-speaker in an epoch"),
        option_flag("speed", &s.speed,
                    "each pseudo-speaker at 0.9 and 1.1 times the speed is one more; an epoch has three "
                    "times the steps"),
        option_neutral(
            option_integer("plan-classes", &s.plan_classes, 2, 1e9, "pseudo-speakers, with --plan")),
        option_heading("Loss"),
        option_text("objectives", &s.objectives, "NAME=WEIGHT,...", objectives_known()),
        option_flag(
            "balance", &s.balance,
            "two objectives' gradients are joined at each step by the minimum-norm rule instead of weights"),
        option_integer("views", &s.views, 0, 64,
                       "utterances of each pseudo-speaker in a batch; 0: as many as the objectives need"),
        option_flag("same-recording", &s.same_recording, "they are crops of one recording instead"),
        option_real("temperature", &s.temperature, 1e-3, 10, "of the contrastive objectives"),
        option_real("contrast-margin", &s.contrast_margin, 0, 1.5, "of supcon's positives, radians"),
        option_input("teacher", &s.teacher, "FILE", "embeddings of the audio, for objective teacher"),
        option_real("margin", &s.margin, 0, 1.5, "of AAM-softmax at the end, radians"),
        option_real("margin-start", &s.margin_start, 0, 1.5, "of AAM-softmax at first"),
        option_real("margin-ramp", &s.margin_ramp, 0, 1, "share of the steps in between"),
        option_real("scale", &s.scale, 1, 1000, "of the cosines"),
        option_integer("subcentres", &s.subcentres, 1, 16,
                       "weights of each pseudo-speaker in AAM-softmax, of which the nearest counts"),
        option_flag("easy-margin", &s.easy_margin, "no margin beyond a right angle"),
        option_real("pull", &s.pull, 0, 1000, "towards the initial weights (the recipe: 0.01)"),
        option_heading("Doubtful labels"),
        option_integer(
            "gate-epoch", &s.gate_epoch, 0, 1e6,
            "from this epoch on, utterances whose loss is among the large ones are left out; 0: never"),
        option_integer("correct-epoch", &s.correct_epoch, 0, 1e6,
                       "from this epoch on, they get the class that the model finds; 0: never"),
        option_real("confidence", &s.confidence, 0, 1, "of the model in that class, at least"),
        option_heading("Rates"),
        option_choice("schedule", &s.schedule, "cosine|step|constant", "of the learning rate"),
        option_real("decay", &s.decay, 1e-6, 1, "factor per epoch of the step schedule"),
        option_real("encoder-rate", &s.encoder_rate, 0, 1e3,
                    "factor for the encoder; pooling (wavlm) and classes have 1"),
        option_flag("nesterov", &s.nesterov, "Nesterov's form of SGD's momentum"),
        {0}};
    Program program = {.name = "finetune",
                       .summary = "Trains an encoder to tell pseudo-speakers apart.",
                       .usage = "[options] --audio DIR --labels FILE --out FILE",
                       .details =
                           "Interrupted, the same command goes on from its last checkpoint, FILE.resume. "
                           "--clip holds for all gradients together."};
    Option *options = train_options(&s.train, own);
    program_begin(&program, options, argc, argv);
    if (up_to_date(&program, s.train.plan ? NULL : s.train.out))
        return 0;
    if (!s.train.plan)
        outputs_check(&program, NULL);
    Error error = {0};
    Finetuning f = {0};
    int64_t n_steps = 0;
    int status = s.train.plan ? plan(&program, &s, &f, &error) : train(&program, &s, &f, &n_steps, &error);
    release(&f);
    mem_free(options);
    if (status < 0)
        return program_fail(&program, &error);
    if (s.train.plan)
        return program_done(&program, "a plan for %lld utterances", (long long)s.train.plan);
    return program_done(&program, "%lld steps", (long long)n_steps);
}
