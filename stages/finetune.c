// voxloop-finetune: an encoder that tells pseudo-speakers apart (AAM-softmax and other objectives), from
// scratch or from weights.
#include <math.h>
#include <stdio.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/provenance.h"
#include "train/architecture.h"
#include "train/classifier_trainer.h"
#include "train/labelling.h"
#include "train/teacher.h"
#include "train/training.h"

enum { MOST_OPTIONS = 64 }; // of this stage's own

typedef struct Finetuning {
    // What the user chooses.
    TrainSettings train;
    ClassifierOptions classifier; // but for what follows from the corpus and the steps
    const char *labels, *teacher_path;
    LabelSampling sampling;
    int64_t views, plan_classes;
    double margin_ramp; // share of the steps
    bool speed;
    // What is made of it.
    Labelling labelling;
    ObjectiveNeeds needs;
    int64_t n_views; // utterances of one class in a batch
    Teacher teacher;
    ClassifierTrainer *trainer;
} Finetuning;

static void release(void *stage)
{
    Finetuning *f = stage;
    classifier_trainer_destroy(f->trainer);
    labelling_release(&f->labelling);
    teacher_release(&f->teacher);
}

// --- inputs

static int check_settings(const Finetuning *f, Error *error)
{
    const GateOptions *gate = &f->classifier.gate;
    int64_t batch = f->train.loop.batches.batch_size;
    if (gate_check(gate, error) < 0)
        return -1;
    if (gate->correct_epoch > 0 && f->speed)
        return error_set(error, "--correct-epoch would mix up the speeds of --speed; leave one of them out");
    if (gate->gate_epoch > 0 && !f->needs.aam)
        return error_set(error, "--gate-epoch looks at the losses of objective aam, which %s lacks",
                         f->classifier.objectives);
    if (f->needs.teacher != (f->teacher_path != NULL))
        return error_set(error, "objective teacher and --teacher FILE go together; one of them is missing");
    if (f->teacher_path && f->speed)
        return error_set(error, "--teacher knows no other speeds; leave --speed out");
    if (batch % f->n_views != 0 || (f->needs.pairs && f->n_views < 2))
        return error_set(
            error, "--batch %lld must be a multiple of --views %lld, which is at least %d for %s",
            (long long)batch, (long long)f->n_views, f->needs.pairs ? 2 : 1, f->classifier.objectives);
    return 0;
}

// Planned are utterances in turn from as many pseudo-speakers as are planned for.
static int load_labels(Finetuning *f, const Training *t, Error *error)
{
    if (!t->corpus)
        f->labelling = labelling_plan(t->n_utts, f->plan_classes);
    else if (labelling_load(f->labels, t->corpus, &f->labelling, error) < 0 ||
             (f->teacher_path && teacher_load(f->teacher_path, t->corpus, &f->teacher, error) < 0))
        return -1;
    return 0;
}

static int open_inputs(void *stage, Training *t, Error *error)
{
    Finetuning *f = stage;
    if (load_labels(f, t, error) < 0 || objectives_needs(f->classifier.objectives, &f->needs, error) < 0)
        return -1;
    f->n_views = f->views ? f->views : f->needs.pairs ? 2 : 1;
    if (check_settings(f, error) < 0)
        return -1;
    if (f->speed)
        labelling_add_speeds(&f->labelling);
    t->sampler = labelling_sampler(&f->labelling, &f->sampling, f->n_views, f->train.loop.batches.batch_size,
                                   (uint64_t)t->program->seed, error);
    return t->sampler ? training_architecture(t, f->classifier.start_path, error) : -1;
}

// --- the trainer

// The user's choices, with what follows from labels and steps.
static ClassifierOptions classifier_of(const Finetuning *f, const Training *t)
{
    ClassifierOptions o = f->classifier;
    o.architecture = t->architecture;
    o.labels = f->labelling.labels;
    o.objective.n_classes = f->labelling.n_classes;
    o.objective.n_views = f->n_views;
    o.objective.teacher_dim = f->teacher.dim;
    o.teacher = f->teacher.rows;
    o.margin.end = llround(f->margin_ramp * (double)t->n_steps);
    o.optimizer = train_optimizer(&f->train);
    o.learning_rate = train_schedule(&f->train, t->n_steps, t->steps_per_epoch);
    o.clip_norm = f->train.clip_norm;
    o.gate.gate_epoch = train_epoch(&f->train, t->steps_per_epoch, o.gate.gate_epoch);
    o.gate.correct_epoch = train_epoch(&f->train, t->steps_per_epoch, o.gate.correct_epoch);
    o.gate.n_utts = f->labelling.n_utts;
    o.gate.steps_per_epoch = (int64_t)t->steps_per_epoch;
    o.batch_size = t->loop.batches.batch_size;
    o.n_parts = t->n_parts;
    o.seed = t->program->seed;
    return o;
}

static int create_trainer(void *stage, Training *t, Error *error)
{
    Finetuning *f = stage;
    ClassifierOptions options = classifier_of(f, t);
    classifier_trainer_destroy(f->trainer);
    if (!(f->trainer = classifier_trainer_create(&options, error)))
        return -1;
    classifier_trainer_attach(f->trainer, &t->loop);
    return train_check_crop(&f->train, classifier_trainer_encoder(f->trainer), options.crops.n_frames, error);
}

// With gate.json beside the model, for the report.
static int publish(void *stage, const Training *t, const ModelInfo *info, Error *error)
{
    const Finetuning *f = stage;
    const char *model = t->loop.model_path;
    int status = 0;
    if (f->classifier.gate.gate_epoch > 0) {
        char *path = path_beside(model, "gate.json");
        status = gate_publish(classifier_trainer_gate(f->trainer), path, error);
        provenance_also_wrote(t->program, path);
        mem_free(path);
    }
    return status < 0 ? -1 : classifier_trainer_publish(f->trainer, model, info, error);
}

// --- options

static Finetuning defaults(void)
{
    Finetuning f = {.train = train_settings_defaults(),
                    .classifier = {.objectives = "aam",
                                   .objective = {.aam = {.scale = 30, .subcentres = 1},
                                                 .contrast = {.temperature = 0.07}},
                                   .margin = {.final = 0.2},
                                   .encoder_rate_factor = 1,
                                   .crops = {1, 200, false},
                                   .gate = {.sharpening = 0.1, .confidence = 0.5}},
                    .sampling = {.most_per_class = 500},
                    .plan_classes = 5000,
                    .margin_ramp = 0.5};
    f.train.epochs = 40;
    f.train.optimizer.nesterov = true;
    return f;
}

static void append_loss_options(Finetuning *f, Option *table)
{
    ClassifierOptions *c = &f->classifier;
    static char sum[128];
    snprintf(sum, sizeof sum, "the loss, a weighted sum of %s", objectives_known());
    const Option rows[] = {
        option_heading("Loss"),
        option_text("objectives", &c->objectives, "NAME=WEIGHT,...", sum),
        option_flag(
            "balance", &c->balance,
            "two objectives' gradients are joined at each step by the minimum-norm rule instead of weights"),
        option_integer("views", &f->views, 0, 64,
                       "utterances of each pseudo-speaker in a batch; 0: as many as the objectives need"),
        option_flag("same-recording", &f->sampling.same_recording,
                    "the --views of a pseudo-speaker are crops of one recording instead"),
        option_real("temperature", &c->objective.contrast.temperature, 1e-3, 10,
                    "temperature of the contrastive objectives"),
        option_real("contrast-margin", &c->objective.contrast.margin, 0, 1.5,
                    "margin of positives in the contrastive objectives, radians"),
        option_input("teacher", &f->teacher_path, "FILE", "embeddings of the audio, for objective teacher"),
        option_real("margin", &c->margin.final, 0, 1.5, "margin of AAM-softmax at the end, radians"),
        option_real("margin-start", &c->margin.initial, 0, 1.5, "margin of AAM-softmax at first, radians"),
        option_real("margin-ramp", &f->margin_ramp, 0, 1, "share of the steps in which the margin grows"),
        option_real("scale", &c->objective.aam.scale, 1, 1000, "scale of the cosines in AAM-softmax"),
        option_integer("subcentres", &c->objective.aam.subcentres, 1, 16,
                       "weights of each pseudo-speaker in AAM-softmax, of which the nearest counts"),
        option_flag("easy-margin", &c->objective.aam.easy_margin,
                    "no margin beyond a right angle in AAM-softmax"),
        option_real("pull", &c->pull, 0, 1000,
                    "weight of the pull towards the initial weights (the recipe: 0.01)"),
        {0}};
    options_append(table, rows);
    gate_append_options(&c->gate, table);
}

static const Option *finetune_options(Finetuning *f)
{
    ClassifierOptions *c = &f->classifier;
    const Option data[] = {
        option_required(option_input("audio", &f->train.audio, "DIR", "audio as voxloop-prepare leaves it")),
        option_required(
            option_input("labels", &f->labels, "FILE", "label shard of voxloop-cluster, or an utt2spk list")),
        option_required(option_output("out", &f->train.loop.model_path, "FILE",
                                      "the model (safetensors); finetune.log lies beside it")),
        option_input("init", &c->start_path, "FILE", "weights to start from; they bring their architecture"),
        option_flag("keep-classes", &c->keep_classes,
                    "start from the classes of --init as well, which was trained on the same labels"),
        option_choice("encoder", &f->train.encoder, architecture_names(), "kind of encoder, without --init"),
        option_text("architecture", &f->train.architecture, "KEY=VALUE,...",
                    "sizes of the encoder; small, the default: for small corpora"),
        option_text("freeze", &c->freeze, "PREFIX,...",
                    "parameters that stay as they are, by how their names begin"),
        option_real("encoder-rate", &c->encoder_rate_factor, 0, 1e3,
                    "learning-rate factor of the encoder; pooling (wavlm) and classes have 1"),
        option_integer("frames", &c->crops.n_frames, 10, 100000, "length of a crop, 10 ms each"),
        option_integer("most-per-speaker", &f->sampling.most_per_class, 1, 1e9,
                       "utterances of one pseudo-speaker in an epoch, at most"),
        option_flag("speed", &f->speed,
                    "each pseudo-speaker at 0.9 and 1.1 times the speed is one more; an epoch has three "
                    "times the steps"),
        train_parts_option(&f->train),
        option_neutral(
            option_integer("plan-classes", &f->plan_classes, 2, 1e9, "pseudo-speakers, with --plan")),
        {0}};
    static Option table[MOST_OPTIONS];
    options_append(table, data);
    append_loss_options(f, table);
    return train_options(&f->train, table);
}

int main(int argc, char **argv)
{
    static const TrainingKind KIND = {open_inputs, create_trainer, publish, release};
    Finetuning f = defaults();
    Program program = {.name = "finetune",
                       .summary = "Trains an encoder to tell pseudo-speakers apart.",
                       .usage = "[options] --audio DIR --labels FILE --out FILE",
                       .details =
                           "Interrupted, the same command goes on from its last checkpoint, FILE.resume. "
                           "--clip holds for all gradients together."};
    program_begin(&program, finetune_options(&f), argc, argv);
    if (f.classifier.keep_classes && !f.classifier.start_path)
        program_misuse(&program, "--keep-classes keeps those of --init FILE, which is missing");
    return training_main(&program, &f.train, &KIND, &f);
}
