#include "train/training.h"

#include "base/files.h"
#include "base/log.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/up_to_date.h"
#include "models/encoder.h"
#include "train/architecture.h"
#include "train/plan.h"

enum { CHECKED_UTTS = 1000000 }; // as many as no setting finds too few

int training_architecture(Training *t, const char *init, Error *error)
{
    const TrainSettings *s = t->settings;
    if (t->program->check && init && !file_exists(init))
        init = NULL; // it is made before this stage runs
    t->architecture =
        init ? model_architecture(init, error) : architecture_parse(s->encoder, s->architecture, error);
    return t->architecture ? 0 : -1;
}

static void begin_loop(Training *t, const char *recipe)
{
    t->steps_per_epoch = sampler_steps_per_epoch(t->sampler);
    t->n_steps = train_steps(t->settings, t->steps_per_epoch);
    t->n_parts = t->settings->parts;
    t->loop = t->settings->loop;
    t->loop.stage = t->program->name;
    t->loop.recipe = recipe;
    t->loop.n_steps = t->n_steps;
    t->loop.batches.corpus = t->corpus;
    t->loop.batches.sampler = t->sampler;
    t->loop.batches.augmenter = t->augmenter;
    t->loop.batches.seed = (uint64_t)t->program->seed;
}

static void log_length(const Training *t)
{
    log_info("%lld steps of %lld utterances (%.1f epochs)", (long long)t->n_steps,
             (long long)t->settings->loop.batches.batch_size, (double)t->n_steps / t->steps_per_epoch);
}

static int train(Training *t, const TrainingKind *kind, void *stage, Error *error)
{
    char recipe[17];
    if (!(t->corpus = corpus_open(t->settings->audio, error)) ||
        train_augmenter(t->settings, t->corpus, &t->augmenter, error) < 0)
        return -1;
    t->n_utts = corpus_count(t->corpus);
    if (kind->open(stage, t, error) < 0 || provenance_recipe(t->program, recipe, error) < 0)
        return -1;
    begin_loop(t, recipe);
    if (kind->create(stage, t, error) < 0)
        return -1;
    log_length(t);
    ModelInfo info = {t->architecture, t->n_steps, t->program->seed, recipe};
    if (train_loop_run(&t->loop, error) < 0 || kind->publish(stage, t, &info, error) < 0 ||
        provenance_publish(t->program, t->loop.model_path, error) < 0)
        return -1;
    resume_finish(t->loop.model_path);
    return 0;
}

static int plan(Training *t, const TrainingKind *kind, void *stage, Error *error)
{
    const TrainSettings *s = t->settings;
    StepCost costs[PLAN_BATCHES];
    t->n_utts = s->plan;
    if (kind->open(stage, t, error) < 0)
        return -1;
    begin_loop(t, "plan");
    log_length(t);
    t->n_parts = plan_parts(s->parts);
    for (int i = 0; i < PLAN_BATCHES; i++) {
        t->loop.batches.batch_size = plan_batch(i, s->parts);
        if (kind->create(stage, t, error) < 0 || plan_measure(&t->loop, &costs[i], error) < 0)
            return -1;
    }
    plan_print(&t->loop, s->loop.batches.batch_size, s->parts, costs);
    return 0;
}

// What can be told without audio, labels and the memory of a model: all that a plan looks at, and whether the
// encoder knows its architecture.
static int check(Training *t, const TrainingKind *kind, void *stage, Error *error)
{
    t->n_utts = CHECKED_UTTS;
    if (kind->open(stage, t, error) < 0)
        return -1;
    Parameters parameters;
    parameters_init(&parameters);
    Encoder *encoder = encoder_create(t->architecture, &parameters, error);
    int status = encoder ? 0 : -1;
    encoder_destroy(encoder);
    parameters_release(&parameters);
    return status;
}

static void release(Training *t)
{
    cJSON_Delete(t->architecture);
    sampler_destroy(t->sampler);
    augmenter_destroy(t->augmenter);
    corpus_close(t->corpus);
}

int training_main(Program *program, const TrainSettings *settings, const TrainingKind *kind, void *stage)
{
    bool plans = settings->plan > 0;
    Error error = {0};
    Training t = {.program = program, .settings = settings};
    if (program->check && !program->if_changed && check(&t, kind, stage, &error) < 0)
        return program_fail(program, &error);
    if (up_to_date(program, plans ? NULL : settings->loop.model_path))
        return 0;
    if (!plans)
        outputs_check(program, NULL);
    int status = plans ? plan(&t, kind, stage, &error) : train(&t, kind, stage, &error);
    kind->release(stage);
    release(&t);
    if (status < 0)
        return program_fail(program, &error);
    if (plans)
        return program_done(program, "a plan for %lld utterances", (long long)settings->plan);
    return program_done(program, "%lld steps", (long long)t.n_steps);
}
