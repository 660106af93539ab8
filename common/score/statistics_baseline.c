#include "score/statistics_baseline.h"

#include <math.h>
#include <string.h>

#include "audio/fbank.h"
#include "base/memory.h"
#include "base/progress.h"
#include "cache/pieces.h"
#include "score/cosine.h"

enum { STATISTICS_CEPSTRA = 20, STATISTICS_DIM = 2 * STATISTICS_CEPSTRA };

static Fbank *statistics_fbank(void)
{
    FbankOptions options = fbank_defaults();
    options.n_ceps = STATISTICS_CEPSTRA;
    options.dither = 0;
    return fbank_create(&options);
}

// samples in [-1, 1); embedding [STATISTICS_DIM]. Zeros where there is no frame.
static void statistics_embedding(const Fbank *fbank, const float *samples, int64_t n_samples,
                                 float *embedding)
{
    int64_t n_frames = fbank_frames(n_samples);
    memset(embedding, 0, STATISTICS_DIM * sizeof(float));
    if (n_frames < 1)
        return;
    float *features = mem_alloc((size_t)n_frames, STATISTICS_CEPSTRA * sizeof(float)); // [frame, cepstrum]
    fbank_compute(fbank, samples, n_samples, NULL, features);
    for (int c = 0; c < STATISTICS_CEPSTRA; c++) {
        double sum = 0, squares = 0;
        for (int64_t t = 0; t < n_frames; t++)
            sum += features[t * STATISTICS_CEPSTRA + c];
        double mean = sum / (double)n_frames;
        for (int64_t t = 0; t < n_frames; t++)
            squares +=
                (features[t * STATISTICS_CEPSTRA + c] - mean) * (features[t * STATISTICS_CEPSTRA + c] - mean);
        embedding[c] = (float)mean;
        embedding[STATISTICS_CEPSTRA + c] = (float)sqrt(squares / (double)n_frames);
    }
    mem_free(features);
}

static int statistics_of(const Corpus *corpus, const Fbank *fbank, const char *utt, float *embedding,
                         Error *error)
{
    Piece piece;
    if (piece_find(corpus, utt, &piece) < 0)
        return error_set(error, "%s has an embedding but is not in the audio folder", utt);
    float *samples = mem_alloc((size_t)piece.n_samples, sizeof(float));
    int status = corpus_read(corpus, piece.utt, piece.start, piece.n_samples, samples, error);
    if (status == 0)
        statistics_embedding(fbank, samples, piece.n_samples, embedding);
    mem_free(samples);
    return status;
}

// rows [n, STATISTICS_DIM]; those of utterances that no trial names hold 1.
static int statistics_of_all(const Corpus *corpus, char *const *utts, int64_t n, const Trials *trials,
                             float *rows, Error *error)
{
    bool *needed = mem_zero((size_t)n, sizeof(bool));
    for (int64_t t = 0; t < trials->n; t++)
        needed[trials->trials[t].enroll] = needed[trials->trials[t].test] = true;
    Fbank *fbank = statistics_fbank();
    Progress *progress = progress_create("utt", n);
    int status = 0;
#pragma omp parallel for schedule(dynamic, 8)
    for (int64_t i = 0; i < n; i++) {
        Error own = {0};
        rows[i * STATISTICS_DIM] = 1;
        if (needed[i] && statistics_of(corpus, fbank, utts[i], rows + i * STATISTICS_DIM, &own) < 0) {
#pragma omp critical
            status = error_set(error, "%s", own.text);
        }
        progress_step(progress, 1);
    }
    progress_destroy(progress);
    fbank_destroy(fbank);
    mem_free(needed);
    return status;
}

int statistics_baseline_score(const char *audio, char *const *utts, int64_t n, const Trials *trials,
                              double *scores, Error *error)
{
    Corpus *corpus = corpus_open(audio, error);
    if (!corpus)
        return -1;
    float *rows = mem_zero((size_t)n, STATISTICS_DIM * sizeof(float));
    int status = statistics_of_all(corpus, utts, n, trials, rows, error);
    int64_t bad = status == 0 ? rows_normalise(rows, n, STATISTICS_DIM) : -1;
    if (bad >= 0)
        status = error_set(error, "the statistics of %s are zero or not finite", utts[bad]);
    if (status == 0)
        cosine_score(rows, STATISTICS_DIM, trials, scores);
    mem_free(rows);
    corpus_close(corpus);
    return status;
}
