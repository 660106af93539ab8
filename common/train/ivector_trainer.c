// C Gaussians, D dimensions of a frame, R of an i-vector.
#include "train/ivector_trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio/fbank.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "ivector/statistics.h"
#include "models/ivector_encoder.h"
#include "tensor/cholesky.h"
#include "train/resume.h"

enum { CHUNK = 32 }; // utterances at a time

typedef struct Training {
    const IvectorTraining *options;
    const Corpus *corpus;
    Encoder *encoder;
    Parameters *parameters;
    int64_t n_done; // iterations, of all kinds
    Resume resume;
} Training;

// --- frames

typedef struct Frames { // of one utterance
    float *data;        // [n, D]
    int64_t n;
} Frames;

static int read_frames(const Training *t, int64_t utt, Frames *frames, Error *error)
{
    int64_t wanted = corpus_samples(t->corpus, utt), least = fbank_samples(1),
            n = wanted < least ? least : wanted;
    float *samples = mem_zero((size_t)n, sizeof(float));
    int status = corpus_read(t->corpus, utt, 0, wanted, samples, error);
    frames->data = mem_alloc((size_t)(fbank_frames(n) * ivector_frame_dim(t->encoder)), sizeof(float));
    if (status == 0)
        frames->n = ivector_frames(t->encoder, samples, n, frames->data);
    mem_free(samples);
    return status;
}

// Of `count` utterances, a core each.
static int read_chunk(const Training *t, const int64_t *utts, int64_t count, Frames *frames, Error *error)
{
    int status = 0;
    memset(frames, 0, (size_t)count * sizeof *frames);
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < count; i++) {
        Error own = {0};
        if (read_frames(t, utts[i], &frames[i], &own) < 0) {
#pragma omp critical
            status = error_set(error, "%s", own.text);
        }
    }
    return status;
}

static void release_chunk(Frames *frames, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        mem_free(frames[i].data);
}

// --- the mixture

// Moves the frames that are drawn to `sample`, behind those there; returns how many.
static int64_t draw_frames(const Training *t, int64_t utt, const Frames *frames, double share, int64_t room,
                           float *sample)
{
    int64_t dim = ivector_frame_dim(t->encoder), n = 0;
    Rng rng = rng_stream((uint64_t)t->options->seed, "frames of the mixture", (uint64_t)utt, 0);
    for (int64_t i = 0; i < frames->n && n < room; i++)
        if (rng_uniform(&rng) < share)
            memcpy(sample + n++ * dim, frames->data + i * dim, (size_t)dim * sizeof(float));
    return n;
}

// A random sample of the corpus's frames [*n, D].
static float *sample_frames(const Training *t, int64_t *n, Error *error)
{
    int64_t n_utts = corpus_count(t->corpus), dim = ivector_frame_dim(t->encoder), most = 0;
    for (int64_t i = 0; i < n_utts; i++)
        most += fbank_frames(corpus_samples(t->corpus, i)) + 1;
    double share = fmin(1, (double)t->options->ubm_frames / (double)most);
    int64_t room = most < t->options->ubm_frames ? most : t->options->ubm_frames;
    float *sample =
        mem_try_alloc((size_t)room, (size_t)dim * sizeof(float), "the frames of the mixture", error);
    Progress *progress = progress_create("utt", n_utts);
    int status = sample ? 0 : -1;
    *n = 0;
    for (int64_t start = 0; status == 0 && start < n_utts; start += CHUNK) {
        int64_t count = n_utts - start < CHUNK ? n_utts - start : CHUNK, utts[CHUNK];
        Frames frames[CHUNK];
        for (int64_t i = 0; i < count; i++)
            utts[i] = start + i;
        status = read_chunk(t, utts, count, frames, error);
        for (int64_t i = 0; status == 0 && i < count; i++)
            *n += draw_frames(t, utts[i], &frames[i], share, room - *n, sample + *n * dim);
        release_chunk(frames, count);
        if (status == 0 && interrupt_requested())
            status = interrupt_fail(error);
        progress_step(progress, count);
    }
    progress_destroy(progress);
    if (status == 0)
        return sample;
    mem_free(sample);
    return NULL;
}

// Frames to mean 0, variance 1; what they were goes to the model.
static void standardise(Training *t, float *frames, int64_t n)
{
    int64_t dim = ivector_frame_dim(t->encoder);
    float *mean = parameters_find(t->parameters, "frames.mean")->tensor.data;
    float *deviation = parameters_find(t->parameters, "frames.deviation")->tensor.data;
    for (int64_t d = 0; d < dim; d++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < n; i++)
            sum += frames[i * dim + d];
        for (int64_t i = 0; i < n; i++)
            squares += (frames[i * dim + d] - sum / (double)n) * (frames[i * dim + d] - sum / (double)n);
        mean[d] = (float)(sum / (double)n);
        deviation[d] = fmaxf((float)sqrt(squares / (double)n), 1e-6f);
    }
    for (int64_t i = 0; i < n * dim; i++)
        frames[i] = (frames[i] - mean[i % dim]) / deviation[i % dim];
}

static int restore(Training *t, Error *error)
{
    bool found;
    resume_init(&t->resume, t->options->model_path, t->options->recipe,
                (ResumePace){.every = 1, .at_end = true});
    resume_keep(&t->resume, state_count("n_done", &t->n_done, INT64_MAX));
    resume_keep(&t->resume, state_floats("values", t->parameters->n_values, t->parameters->values));
    if (resume_load(&t->resume, &found, error) < 0)
        return -1;
    if (found)
        log_info("goes on after iteration %lld, from %s", (long long)t->n_done, t->resume.path);
    return 0;
}

static int begin_mixture(Training *t, float *frames, int64_t n_frames, Error *error)
{
    Gmm ubm = ivector_ubm(t->encoder);
    Rng rng = rng_stream((uint64_t)t->options->seed, "mixture", 0, 0);
    if (n_frames < 2 * ubm.n)
        return error_set(error, "the corpus has %lld frames of speech; %lld Gaussians need at least %lld",
                         (long long)n_frames, (long long)ubm.n, (long long)(2 * ubm.n));
    standardise(t, frames, n_frames);
    gmm_begin(&ubm, frames, n_frames, &rng);
    return 0;
}

// The iterations of the mixture that are not done yet.
static int train_mixture(Training *t, Error *error)
{
    const IvectorTraining *options = t->options;
    int64_t n_diagonal = options->diagonal_iterations, n_frames;
    int64_t n_all = n_diagonal + options->full_iterations;
    if (t->n_done >= n_all)
        return 0;
    // A resumed run samples what is standardised already.
    bool fresh = t->n_done == 0;
    float *deviation = parameters_find(t->parameters, "frames.deviation")->tensor.data;
    for (int64_t d = 0; fresh && d < ivector_frame_dim(t->encoder); d++)
        deviation[d] = 1;
    float *frames = sample_frames(t, &n_frames, error);
    int status = frames ? 0 : -1;
    if (status == 0 && fresh)
        status = begin_mixture(t, frames, n_frames, error);
    while (status == 0 && t->n_done < n_all) {
        double log_likelihood;
        Gmm ubm = ivector_ubm(t->encoder);
        ubm.full = t->n_done >= n_diagonal;
        status = gmm_iterate(&ubm, frames, n_frames, options->prior, &log_likelihood, error);
        if (status == 0)
            log_info("mixture, %s, iteration %lld of %lld: log-likelihood %.4f per frame, %lld frames",
                     ubm.full ? "full" : "diagonal", (long long)++t->n_done, (long long)n_all, log_likelihood,
                     (long long)n_frames);
        if (status == 0)
            status = resume_step(&t->resume, false, error);
    }
    mem_free(frames);
    return status;
}

// --- the total variability matrix

static int longer_first(const void *a, const void *b, void *corpus)
{
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    int64_t n = corpus_samples(corpus, i), m = corpus_samples(corpus, j);
    return n != m ? (n < m ? 1 : -1) : (i > j) - (i < j);
}

// The longest utterances [*n].
static int64_t *choose_utterances(const Training *t, int64_t *n)
{
    int64_t n_utts = corpus_count(t->corpus), *utts = mem_alloc((size_t)n_utts, sizeof(int64_t));
    for (int64_t i = 0; i < n_utts; i++)
        utts[i] = i;
    qsort_r(utts, (size_t)n_utts, sizeof(int64_t), longer_first, (void *)t->corpus);
    *n = n_utts < t->options->tv_utts ? n_utts : t->options->tv_utts;
    return utts;
}

typedef void UseStatistics(void *context, const TvScorer *tv, const float *occupation, const float *sums,
                           int64_t first, int64_t count);

// Hands the statistics of utts [n] to `use`, a chunk at a time.
static int stream_statistics(const Training *t, const int64_t *utts, int64_t n, UseStatistics *use,
                             void *context, Error *error)
{
    Gmm ubm = ivector_ubm(t->encoder);
    TotalVariability model = ivector_tv(t->encoder);
    GmmScorer scorer;
    if (gmm_scorer_create(&ubm, &scorer, error) < 0)
        return -1;
    TvScorer *tv = tv_scorer_create(&model, &ubm, error);
    int64_t size = ubm.n * ubm.dim;
    float *statistics = mem_alloc((size_t)(CHUNK * (ubm.n + size)), sizeof(float)),
          *sums = statistics + CHUNK * ubm.n;
    Progress *progress = progress_create("utt", n);
    int status = tv ? 0 : -1;
    for (int64_t start = 0; status == 0 && start < n; start += CHUNK) {
        int64_t count = n - start < CHUNK ? n - start : CHUNK;
        Frames frames[CHUNK];
        status = read_chunk(t, utts + start, count, frames, error);
        for (int64_t i = 0; status == 0 && i < count; i++)
            ivector_statistics(&scorer, frames[i].data, frames[i].n, statistics + i * ubm.n, sums + i * size);
        release_chunk(frames, count);
        if (status == 0)
            use(context, tv, statistics, sums, start, count);
        if (status == 0 && interrupt_requested())
            status = interrupt_fail(error);
        progress_step(progress, count);
    }
    progress_destroy(progress);
    mem_free(statistics);
    tv_scorer_destroy(tv);
    gmm_scorer_release(&scorer);
    return status;
}

static void gather(void *context, const TvScorer *tv, const float *occupation, const float *sums,
                   int64_t first, int64_t count)
{
    (void)first;
    tv_gather(context, tv, occupation, sums, count);
}

static int iterate_matrix(Training *t, const int64_t *utts, int64_t n, double *log_likelihood, Error *error)
{
    TotalVariability tv = ivector_tv(t->encoder);
    TvSums *sums = tv_sums_create(&tv, error);
    int status = sums ? stream_statistics(t, utts, n, gather, sums, error) : -1;
    if (status == 0) {
        *log_likelihood = tv_log_likelihood(sums);
        status = tv_maximise(sums, &tv, error);
    }
    tv_sums_destroy(sums);
    return status;
}

static int train_matrix(Training *t, const int64_t *utts, int64_t n, Error *error)
{
    int64_t before = t->options->diagonal_iterations + t->options->full_iterations;
    int64_t n_all = before + t->options->tv_iterations;
    if (t->n_done == before) {
        TotalVariability tv = ivector_tv(t->encoder);
        Gmm ubm = ivector_ubm(t->encoder);
        Rng rng = rng_stream((uint64_t)t->options->seed, "total variability", 0, 0);
        tv_begin(&tv, &ubm, &rng);
    }
    while (t->n_done < n_all) {
        double log_likelihood = 0;
        if (iterate_matrix(t, utts, n, &log_likelihood, error) < 0)
            return -1;
        t->n_done++;
        log_info(
            "total variability, iteration %lld of %lld: log-likelihood %.4f per utterance, %lld utterances",
            (long long)(t->n_done - before), (long long)t->options->tv_iterations, log_likelihood,
            (long long)n);
        if (resume_step(&t->resume, t->n_done == n_all, error) < 0)
            return -1;
    }
    return 0;
}

// --- centring and whitening

typedef struct Collected {
    float *ivectors; // [n, R]
    int64_t rank;
} Collected;

static void collect(void *context, const TvScorer *tv, const float *occupation, const float *sums,
                    int64_t first, int64_t count)
{
    const Collected *collected = context;
    tv_extract(tv, occupation, sums, count, collected->ivectors + first * collected->rank);
}

// transform [R, R] = the inverse of the Cholesky factor of the i-vectors' covariance, shrunk towards a
// multiple of I as if R more utterances had all directions alike: there may be fewer utterances than
// dimensions.
static int fit_whitening(const float *ivectors, int64_t n, int64_t rank, float *mean, float *transform,
                         Error *error)
{
    double *covariance = mem_zero((size_t)(2 * rank * rank), sizeof(double)),
           *inverse = covariance + rank * rank;
    double trace = 0;
    for (int64_t r = 0; r < rank; r++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += ivectors[i * rank + r];
        mean[r] = (float)(sum / (double)n);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < rank; r++)
            for (int64_t q = 0; q <= r; q++)
                covariance[r * rank + q] +=
                    ((double)ivectors[i * rank + r] - mean[r]) * ((double)ivectors[i * rank + q] - mean[q]);
    for (int64_t r = 0; r < rank; r++)
        trace += covariance[r * rank + r];
    for (int64_t r = 0; r < rank; r++)
        for (int64_t q = 0; q <= r; q++)
            covariance[q * rank + r] = covariance[r * rank + q] =
                (covariance[r * rank + q] + (r == q ? trace / (double)n : 0)) / (double)(n + rank);
    int status = trace > 0 ? cholesky_factor(covariance, rank, NULL) : -1;
    for (int64_t q = 0; status == 0 && q < rank; q++) // column q of the inverse, by forward substitution
        for (int64_t r = q; r < rank; r++) {
            double sum = r == q;
            for (int64_t p = q; p < r; p++)
                sum -= cholesky_at(covariance, rank, r, p) * inverse[p * rank + q];
            inverse[r * rank + q] = sum / cholesky_at(covariance, rank, r, r);
        }
    for (int64_t i = 0; i < rank * rank; i++)
        transform[i] = (float)inverse[i];
    mem_free(covariance);
    return status == 0 ? 0 : error_set(error, "all i-vectors are the same; is there speech in the audio?");
}

static int train_whitening(Training *t, const int64_t *utts, int64_t n, Error *error)
{
    int64_t rank = ivector_config(t->encoder)->ivector_dim;
    Collected collected = {mem_try_alloc((size_t)n, (size_t)rank * sizeof(float), "the i-vectors", error),
                           rank};
    int status = collected.ivectors ? stream_statistics(t, utts, n, collect, &collected, error) : -1;
    if (status == 0)
        status = fit_whitening(collected.ivectors, n, rank,
                               parameters_find(t->parameters, "out.mean")->tensor.data,
                               parameters_find(t->parameters, "out.transform")->tensor.data, error);
    mem_free(collected.ivectors);
    return status;
}

int ivector_train(const IvectorTraining *options, const Corpus *corpus, Encoder *encoder,
                  Parameters *parameters, Error *error)
{
    Training t = {.options = options, .corpus = corpus, .encoder = encoder, .parameters = parameters};
    int64_t n, *utts = choose_utterances(&t, &n);
    char *folder = path_folder(options->model_path);
    int status = folder_create(folder, error);
    if (status == 0)
        status = restore(&t, error);
    if (status == 0)
        status = train_mixture(&t, error);
    if (status == 0)
        status = train_matrix(&t, utts, n, error);
    if (status == 0)
        status = train_whitening(&t, utts, n, error);
    mem_free(folder);
    mem_free(utts);
    resume_release(&t.resume);
    return status;
}
