// voxloop-ivector: an i-vector extractor from audio alone, by expectation-maximisation. voxloop-extract uses
// it.
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/corpus.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/up_to_date.h"
#include "train/architecture.h"
#include "train/checkpoint.h"
#include "train/ivector_trainer.h"
#include "train/resume.h"
#include "train/settings.h"

typedef struct Settings {
    const char *audio, *out;
    int64_t gaussians, dim, ceps, deltas, mean_window;
    bool vad;
    IvectorTraining training;
} Settings;

static cJSON *architecture_of(const Settings *s)
{
    cJSON *architecture = cJSON_CreateObject();
    cJSON_AddStringToObject(architecture, "encoder", "ivector");
    cJSON_AddNumberToObject(architecture, "gaussians", (double)s->gaussians);
    cJSON_AddNumberToObject(architecture, "ivector_dim", (double)s->dim);
    cJSON_AddNumberToObject(architecture, "ceps", (double)s->ceps);
    cJSON_AddNumberToObject(architecture, "deltas", (double)s->deltas);
    cJSON_AddNumberToObject(architecture, "mean_window", (double)s->mean_window);
    cJSON_AddBoolToObject(architecture, "vad", s->vad);
    return architecture;
}

static void log_memory(const Settings *s, const Parameters *parameters)
{
    char text[32];
    double rank = (double)s->dim, n = (double)s->gaussians, dim = (double)(s->ceps * (s->deltas + 1));
    double sums = n * (rank * (rank + 1) / 2 + dim * rank) * (sizeof(double) + 2 * sizeof(float));
    double frames = (double)s->training.ubm_frames * dim * sizeof(float);
    double values = (double)parameters->n_values * sizeof(float);
    log_info("memory: at most %s: the larger of %.3g GB for the frames of the mixture and %.3g GB for the "
             "sums of the "
             "matrix, and the model",
             log_bytes(text, (frames > sums ? frames : sums) + values), frames / 1e9, sums / 1e9);
}

static int train(const Program *program, Settings *s, Error *error)
{
    Corpus *corpus = corpus_open(s->audio, error);
    if (!corpus)
        return -1;
    char recipe[17];
    Parameters parameters;
    cJSON *architecture = architecture_of(s);
    parameters_init(&parameters);
    Encoder *encoder = encoder_create(architecture, &parameters, error);
    int status = encoder && provenance_recipe(program, recipe, error) == 0
                     ? parameters_allocate(&parameters, (uint64_t)program->seed, false, error)
                     : -1;
    s->training.seed = program->seed;
    s->training.model_path = s->out;
    s->training.recipe = recipe;
    if (status == 0) {
        log_memory(s, &parameters);
        status = ivector_train(&s->training, corpus, encoder, &parameters, error);
    }
    ModelInfo info = {architecture, s->training.tv_iterations, program->seed, recipe};
    if (status == 0)
        status = model_publish(s->out, &parameters, NULL, &info, error);
    if (status == 0)
        status = provenance_publish(program, s->out, error);
    if (status == 0)
        resume_finish(s->out);
    encoder_destroy(encoder);
    parameters_release(&parameters);
    cJSON_Delete(architecture);
    corpus_close(corpus);
    return status;
}

int main(int argc, char **argv)
{
    Settings s = {.gaussians = 512,
                  .dim = 200,
                  .ceps = 24,
                  .deltas = 2,
                  .mean_window = 300,
                  .vad = true,
                  .training = {.diagonal_iterations = 10,
                               .full_iterations = 4,
                               .tv_iterations = 5,
                               .ubm_frames = 1000000,
                               .tv_utts = 100000,
                               .prior = 20}};
    const Option options[] = {
        option_required(option_input("audio", &s.audio, "DIR", "audio as voxloop-prepare leaves it")),
        option_required(
            option_output("out", &s.out, "FILE", "the extractor (safetensors), for voxloop-extract")),
        option_integer("gaussians", &s.gaussians, 1, 65536, "of the background mixture"),
        option_integer("ivector-dim", &s.dim, 1, 4096, "dimensions of an i-vector"),
        option_integer("diagonal-iterations", &s.training.diagonal_iterations, 1, 1000,
                       "of the mixture with diagonal covariances"),
        option_integer("full-iterations", &s.training.full_iterations, 0, 1000,
                       "of the mixture with full ones"),
        option_integer("tv-iterations", &s.training.tv_iterations, 1, 1000,
                       "of the total variability matrix"),
        option_integer("ubm-frames", &s.training.ubm_frames, 1, 1e9,
                       "at most so many, drawn at random, train the mixture"),
        option_integer("tv-utts", &s.training.tv_utts, 1, 1e9,
                       "at most so many utterances, the longest, train the matrix"),
        option_real("prior", &s.training.prior, 0, 1e6, "of the covariances, as many frames of variance 0.1"),
        option_heading("Frames"),
        option_integer("ceps", &s.ceps, 1, 30, "MFCC, with C0"),
        option_integer("deltas", &s.deltas, 0, 2, "orders of deltas"),
        option_integer("mean-window", &s.mean_window, 0, 1 << 24,
                       "frames whose mean is subtracted from the one in their middle; 0: the mean stays"),
        option_flag("vad", &s.vad, "leave out frames of low energy"),
        {0}};
    Program program = {
        .name = "ivector",
        .summary = "Trains an i-vector extractor on audio alone.",
        .usage = "[options] --audio DIR --out FILE",
        .details =
            "Interrupted, the same command goes on from the last iteration, FILE.resume. voxloop-extract "
            "--model FILE gives the i-vectors, centred, whitened and of length 1."};
    program_begin(&program, options, argc, argv);
    if (up_to_date(&program, s.out))
        return 0;
    outputs_check(&program, NULL);
    Error error = {0};
    if (train(&program, &s, &error) < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%lld Gaussians, %lld dimensions", (long long)s.gaussians,
                        (long long)s.dim);
}
