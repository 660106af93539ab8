// voxloop-ivector: an i-vector extractor from audio alone, by expectation-maximisation. voxloop-extract uses
// it.
#include "base/log.h"
#include "base/options.h"
#include "cache/corpus.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/up_to_date.h"
#include "train/checkpoint.h"
#include "models/ivector_encoder.h"
#include "train/ivector_plan.h"
#include "train/ivector_trainer.h"
#include "train/resume.h"

typedef struct Settings {
    const char *audio, *out;
    IvectorConfig config;
    IvectorTraining training;
    int64_t plan;
} Settings;

// An extractor to be trained.
typedef struct Untrained {
    cJSON *architecture;
    Parameters parameters;
    Encoder *encoder;
} Untrained;

static cJSON *architecture_of(const IvectorConfig *config)
{
    cJSON *architecture = cJSON_CreateObject();
    cJSON_AddStringToObject(architecture, "encoder", "ivector");
    cJSON_AddNumberToObject(architecture, "gaussians", (double)config->gaussians);
    cJSON_AddNumberToObject(architecture, "ivector_dim", (double)config->ivector_dim);
    cJSON_AddNumberToObject(architecture, "ceps", (double)config->ceps);
    cJSON_AddNumberToObject(architecture, "deltas", (double)config->deltas);
    cJSON_AddNumberToObject(architecture, "mean_window", (double)config->mean_window);
    cJSON_AddBoolToObject(architecture, "vad", config->vad);
    return architecture;
}

static int create(const Settings *s, int64_t seed, Untrained *u, Error *error)
{
    u->architecture = architecture_of(&s->config);
    parameters_init(&u->parameters);
    u->encoder = encoder_create(u->architecture, &u->parameters, error);
    return u->encoder ? parameters_allocate(&u->parameters, (uint64_t)seed, false, error) : -1;
}

static void release(Untrained *u)
{
    encoder_destroy(u->encoder);
    parameters_release(&u->parameters);
    cJSON_Delete(u->architecture);
}

static int publish(const Program *program, const Settings *s, const Untrained *u, Error *error)
{
    ModelInfo info = {u->architecture, s->training.tv_iterations, program->seed, s->training.recipe};
    if (model_publish(s->out, &u->parameters, NULL, &info, error) < 0 ||
        provenance_publish(program, s->out, error) < 0)
        return -1;
    resume_finish(s->out);
    return 0;
}

static int train(const Program *program, Settings *s, Untrained *u, Error *error)
{
    char recipe[17], text[32];
    Corpus *corpus = corpus_open(s->audio, error);
    if (!corpus)
        return -1;
    s->training.seed = program->seed;
    s->training.model_path = s->out;
    s->training.recipe = recipe;
    int status = create(s, program->seed, u, error);
    if (status == 0)
        status = provenance_recipe(program, recipe, error);
    if (status == 0)
        log_info("memory: at most %s",
                 log_bytes(text, ivector_memory(&s->training, u->encoder, &u->parameters)));
    if (status == 0)
        status = ivector_train(&s->training, corpus, u->encoder, &u->parameters, error);
    if (status == 0)
        status = publish(program, s, u, error);
    corpus_close(corpus);
    return status;
}

static int plan(const Program *program, const Settings *s, Untrained *u, Error *error)
{
    return create(s, program->seed, u, error) < 0
               ? -1
               : ivector_plan(&s->training, s->plan, u->encoder, &u->parameters, error);
}

static Settings defaults(void)
{
    return (Settings){
        .config =
            {.gaussians = 512, .ivector_dim = 200, .ceps = 24, .deltas = 2, .mean_window = 300, .vad = true},
        .training = {.diagonal_iterations = 10,
                     .full_iterations = 4,
                     .tv_iterations = 5,
                     .ubm_frames = 1000000,
                     .tv_utts = 100000,
                     .prior = 20}};
}

int main(int argc, char **argv)
{
    Settings s = defaults();
    IvectorTraining *t = &s.training;
    const Option options[] = {
        option_required(option_input("audio", &s.audio, "DIR", "audio as voxloop-prepare leaves it")),
        option_required(
            option_output("out", &s.out, "FILE", "the extractor (safetensors), for voxloop-extract")),
        option_integer("gaussians", &s.config.gaussians, 1, 65536, "Gaussians of the background mixture"),
        option_integer("ivector-dim", &s.config.ivector_dim, 1, 4096, "dimensions of an i-vector"),
        option_integer("diagonal-iterations", &t->diagonal_iterations, 1, 1000,
                       "iterations of the mixture with diagonal covariances"),
        option_integer("full-iterations", &t->full_iterations, 0, 1000,
                       "iterations of the mixture with full covariances"),
        option_integer("tv-iterations", &t->tv_iterations, 1, 1000,
                       "iterations of the total variability matrix"),
        option_integer("ubm-frames", &t->ubm_frames, 1, 1e9,
                       "frames, drawn at random, that train the mixture, at most"),
        option_integer("tv-utts", &t->tv_utts, 1, 1e9,
                       "utterances, the longest, that train the matrix, at most"),
        option_real("prior", &t->prior, 0, 1e6,
                    "weight of the covariances' prior, as many frames of variance 0.1"),
        option_heading("Frames"),
        option_integer("ceps", &s.config.ceps, 1, 30, "MFCC of a frame, with C0"),
        option_integer("deltas", &s.config.deltas, 0, 2, "orders of deltas of a frame"),
        option_integer("mean-window", &s.config.mean_window, 0, 1 << 24,
                       "frames whose mean is subtracted from the one in their middle; 0: the mean stays"),
        option_flag("vad", &s.config.vad, "leave out frames of low energy"),
        option_heading("Running"),
        option_neutral(
            option_integer("plan", &s.plan, 0, 1e12,
                           "only say what training on so many utterances would take; no file is looked at")),
        {0}};
    Program program = {
        .name = "ivector",
        .summary = "Trains an i-vector extractor on audio alone.",
        .usage = "[options] --audio DIR --out FILE",
        .details =
            "Interrupted, the same command goes on from the last iteration, FILE.resume. voxloop-extract "
            "--model FILE gives the i-vectors, centred, whitened and of length 1."};
    program_begin(&program, options, argc, argv);
    if (up_to_date(&program, s.plan ? NULL : s.out))
        return 0;
    if (!s.plan)
        outputs_check(&program, NULL);
    Error error = {0};
    Untrained u = {0};
    int status = s.plan ? plan(&program, &s, &u, &error) : train(&program, &s, &u, &error);
    release(&u);
    if (status < 0)
        return program_fail(&program, &error);
    if (s.plan)
        return program_done(&program, "a plan for %lld utterances", (long long)s.plan);
    return program_done(&program, "%lld Gaussians, %lld dimensions", (long long)s.config.gaussians,
                        (long long)s.config.ivector_dim);
}
