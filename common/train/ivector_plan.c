// C Gaussians, D dimensions of a frame, R of an i-vector.
#include "train/ivector_plan.h"

#include <math.h>
#include <string.h>

#include "audio/fbank.h"
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "ivector/statistics.h"
#include "models/ivector_encoder.h"

enum { TIMED_UTTERANCES = 4, FRAMES_PER_SECOND = 100 };

// Seconds of each part for one frame, utterance or iteration.
typedef struct Costs {
    double diagonal, full;     // of the mixture, an iteration's share of a frame
    double statistics, gather; // of an utterance
    double extract;            // of an utterance, for the whitening
    double maximise;           // of an iteration of the matrix
} Costs;

double ivector_memory(const IvectorTraining *options, const Encoder *encoder, const Parameters *parameters)
{
    const IvectorConfig *config = ivector_config(encoder);
    double rank = (double)config->ivector_dim, n = (double)config->gaussians,
           dim = (double)ivector_frame_dim(encoder);
    double sums = n * (rank * (rank + 1) / 2 + dim * rank) * (sizeof(double) + 2 * sizeof(float));
    double frames = (double)options->ubm_frames * dim * sizeof(float);
    return fmax(frames, sums) + (double)parameters->n_values * sizeof(float);
}

static float *draw_noise(int64_t n)
{
    float *values = mem_alloc((size_t)n, sizeof(float));
    Rng rng = rng_stream(1, "plan", 0, 0);
    for (int64_t i = 0; i < n; i++)
        values[i] = (float)rng_normal(&rng);
    return values;
}

// One iteration of each kind over as many frames as the mixture needs.
static int time_mixture(const IvectorTraining *options, Encoder *encoder, Costs *costs, Error *error)
{
    Gmm ubm = ivector_ubm(encoder);
    int64_t n = 4 * ubm.n;
    float *frames = draw_noise(n * ubm.dim);
    Rng rng = rng_stream(1, "plan", 1, 0);
    gmm_begin(&ubm, frames, n, &rng);
    double *seconds[2] = {&costs->diagonal, &costs->full}, log_likelihood;
    int status = 0;
    for (int full = 0; full < 2 && status == 0; full++) {
        double start = clock_seconds();
        ubm.full = full;
        status = gmm_iterate(&ubm, frames, n, options->prior, &log_likelihood, error);
        *seconds[full] = (clock_seconds() - start) / (double)n;
    }
    mem_free(frames);
    return status;
}

static void time_utterances(Encoder *encoder, const GmmScorer *scorer, TvSums *sums, const TvScorer *tv,
                            Costs *costs)
{
    Gmm ubm = ivector_ubm(encoder);
    int64_t n_frames = PLAN_UTTERANCE_SECONDS * FRAMES_PER_SECOND, size = ubm.n * ubm.dim;
    float *frames = draw_noise(n_frames * ubm.dim);
    float *occupation = mem_alloc((size_t)(TIMED_UTTERANCES * ubm.n), sizeof(float));
    float *of_frames = mem_alloc((size_t)(TIMED_UTTERANCES * size), sizeof(float));
    float *ivectors =
        mem_alloc((size_t)(TIMED_UTTERANCES * ivector_config(encoder)->ivector_dim), sizeof(float));
    double at[4] = {clock_seconds()};
    for (int i = 0; i < TIMED_UTTERANCES; i++)
        ivector_statistics(scorer, frames, n_frames, occupation + i * ubm.n, of_frames + i * size);
    at[1] = clock_seconds();
    tv_gather(sums, tv, occupation, of_frames, TIMED_UTTERANCES);
    at[2] = clock_seconds();
    tv_extract(tv, occupation, of_frames, TIMED_UTTERANCES, ivectors);
    at[3] = clock_seconds();
    costs->statistics = (at[1] - at[0]) / TIMED_UTTERANCES;
    costs->gather = (at[2] - at[1]) / TIMED_UTTERANCES;
    costs->extract = (at[3] - at[2]) / TIMED_UTTERANCES;
    mem_free(ivectors);
    mem_free(of_frames);
    mem_free(occupation);
    mem_free(frames);
}

static int time_matrix(Encoder *encoder, Costs *costs, Error *error)
{
    Gmm ubm = ivector_ubm(encoder);
    TotalVariability model = ivector_tv(encoder);
    GmmScorer scorer;
    Rng rng = rng_stream(1, "plan", 2, 0);
    ubm.full = true;
    tv_begin(&model, &ubm, &rng);
    if (gmm_scorer_create(&ubm, &scorer, error) < 0)
        return -1;
    TvScorer *tv = tv_scorer_create(&model, &ubm, error);
    TvSums *sums = tv ? tv_sums_create(&model, error) : NULL;
    int status = sums ? 0 : -1;
    if (status == 0) {
        time_utterances(encoder, &scorer, sums, tv, costs);
        double start = clock_seconds();
        status = tv_maximise(sums, &model, error);
        costs->maximise = clock_seconds() - start;
    }
    tv_sums_destroy(sums);
    tv_scorer_destroy(tv);
    gmm_scorer_release(&scorer);
    return status;
}

static void print_hours(const char *what, double seconds)
{
    log_info("plan: %s: %.3g hours on this machine", what, seconds / 3600);
}

int ivector_plan(const IvectorTraining *o, int64_t n_utts, Encoder *encoder, Parameters *parameters,
                 Error *error)
{
    Costs c = {0};
    if (time_mixture(o, encoder, &c, error) < 0 || time_matrix(encoder, &c, error) < 0)
        return -1;
    char memory[32], model[32];
    double n_frames =
        fmin((double)o->ubm_frames, (double)n_utts * PLAN_UTTERANCE_SECONDS * FRAMES_PER_SECOND);
    double n_tv = fmin((double)o->tv_utts, (double)n_utts);
    double mixture =
        n_frames * ((double)o->diagonal_iterations * c.diagonal + (double)o->full_iterations * c.full);
    double matrix = (double)o->tv_iterations * (n_tv * (c.statistics + c.gather) + c.maximise) +
                    n_tv * (c.statistics + c.extract);
    log_info("plan: %lld utterances of %d s: %.3g frames train the mixture, %.3g utterances the matrix",
             (long long)n_utts, PLAN_UTTERANCE_SECONDS, n_frames, n_tv);
    log_info("plan: memory %s; the model and each checkpoint take %s of disk",
             log_bytes(memory, ivector_memory(o, encoder, parameters)),
             log_bytes(model, (double)parameters->n_values * sizeof(float)));
    print_hours("the mixture", mixture);
    print_hours("the total variability matrix and the whitening", matrix);
    return 0;
}
