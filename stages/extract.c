// voxloop-extract: one embedding per utterance, by any model. The whole utterance is seen (or its halves, or
// crops of it, one by one), without dither or augmentation; pieces share a batch only with others of the same
// length, so an embedding depends on nothing but its own audio.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audio/fbank.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/progress.h"
#include "cache/corpus.h"
#include "cache/embeddings.h"
#include "cache/kaldi_ark.h"
#include "cache/pieces.h"
#include "cache/provenance.h"
#include "score/cosine.h"
#include "train/checkpoint.h"

enum { BATCH_SECONDS = 60 };

typedef struct Settings {
    const char *audio, *model, *out, *format;
    int64_t batch, halves, crops, crop_frames;
    double longest_seconds;
} Settings;

typedef struct Extraction {
    const Settings *settings;
    Corpus *corpus;
    LoadedEncoder model;
    Fbank *fbank; // NULL: the encoder takes waveforms
    Tape *tape;
    Embeddings embeddings;
    Piece *pieces;  // [n_pieces], each_row in a row for an embedding
    int64_t *order; // [n_pieces] the longest first: equal ones are neighbours, memory fails at once or never
    int64_t n_pieces, each_row;
    int64_t n_cut, n_repeated;
} Extraction;

static int64_t crop_length(const Settings *s)
{
    return fbank_samples(s->crop_frames);
}

// Samples that are used of a piece: all, up to the cap.
static int64_t used_samples(const Extraction *x, int64_t piece)
{
    int64_t cap = (int64_t)(x->settings->longest_seconds * CORPUS_RATE_HZ);
    int64_t n = x->pieces[piece].n_samples;
    return cap > 0 && n > cap ? cap : n;
}

// The samples that the encoder gets: those used, repeated where they are fewer than it needs.
static int64_t input_samples(const Extraction *x, int64_t piece)
{
    int64_t n = used_samples(x, piece), least = x->model.encoder->min_input;
    if (x->fbank)
        least = fbank_samples(least);
    if (x->settings->crops > 0 && least < crop_length(x->settings))
        least = crop_length(x->settings);
    return n < least ? least : n;
}

static const Extraction *sorted_extraction; // qsort has no context argument

static int compare_lengths(const void *a, const void *b)
{
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    int64_t n = input_samples(sorted_extraction, i), m = input_samples(sorted_extraction, j);
    return n != m ? (n < m ? 1 : -1) : (i > j) - (i < j);
}

static int read_samples(const Extraction *x, int64_t piece, float *samples, Error *error)
{
    const Piece *p = &x->pieces[piece];
    int64_t n = used_samples(x, piece), wanted = input_samples(x, piece);
    int64_t start = p->start + (p->n_samples - n) / 2; // the middle of a long one
    if (n == 0)
        return error_set(error, "%s is empty; prepare the audio again", corpus_utt(x->corpus, p->utt));
    if (corpus_read(x->corpus, p->utt, start, n, samples, error) < 0)
        return -1;
    for (int64_t i = n; i < wanted; i++)
        samples[i] = samples[i - n];
    return 0;
}

// The embedding of a piece is a row; those of crops are made unit length and averaged.
static void take(const Extraction *x, int64_t piece, float *embedding)
{
    int64_t dim = x->embeddings.dim, crops = x->settings->crops;
    float *row = x->embeddings.matrix + piece / x->each_row * dim;
    if (crops == 0) {
        memcpy(row, embedding, (size_t)dim * sizeof(float));
        return;
    }
    rows_normalise(embedding, 1, dim);
    for (int64_t d = 0; d < dim; d++)
        row[d] += embedding[d] / (float)crops;
}

// Embeddings of `count` pieces of one length.
static int embed(Extraction *x, const int64_t *pieces, int64_t count, Error *error)
{
    int64_t n = input_samples(x, pieces[0]), n_frames = fbank_frames(n), dim = x->embeddings.dim;
    int64_t row = x->fbank ? n_frames * fbank_dim(x->fbank) : n;
    float *samples = mem_alloc((size_t)n, sizeof(float));
    float *input = mem_try_alloc((size_t)(count * row), sizeof(float), "a batch of utterances", error);
    int status = input ? 0 : -1;
    for (int64_t b = 0; status == 0 && b < count; b++) {
        float *target = input + b * row;
        status = read_samples(x, pieces[b], x->fbank ? samples : target, error);
        if (status == 0 && x->fbank) {
            fbank_compute(x->fbank, samples, n, NULL, target);
            fbank_subtract_mean(target, n_frames, fbank_dim(x->fbank));
        }
    }
    if (status == 0) {
        tape_begin(x->tape, TAPE_NO_GRAD);
        int64_t dims[3] = {count, x->fbank ? n_frames : n, x->fbank ? fbank_dim(x->fbank) : 0};
        Tensor *in = tape_input(x->tape, x->fbank ? 3 : 2, dims, input);
        Tensor *out = encoder_forward(x->model.encoder, x->tape, in, &(ForwardMode){.training = false});
        for (int64_t b = 0; b < count; b++)
            take(x, pieces[b], out->data + b * dim);
    }
    mem_free(input);
    mem_free(samples);
    return status;
}

// How many utterances of that length go together: attention's memory grows with the square of the length.
static int64_t batch_size(const Extraction *x, int64_t n_samples)
{
    int64_t most = (int64_t)BATCH_SECONDS * CORPUS_RATE_HZ / n_samples;
    return most < 1 ? 1 : most < x->settings->batch ? most : x->settings->batch;
}

static void log_memory(const Extraction *x, int64_t longest)
{
    char text[32];
    log_info("memory: activations take %s for the longest utterance, %.1f s",
             log_bytes(text, (double)tape_peak_bytes(x->tape)), (double)longest / CORPUS_RATE_HZ);
}

static int embed_all(Extraction *x, Error *error)
{
    int64_t n = x->n_pieces;
    Progress *progress = progress_create(x->n_pieces > corpus_count(x->corpus) ? "piece" : "utt", n);
    int status = 0;
    for (int64_t i = 0, count; status == 0 && i < n; i += count) {
        int64_t length = input_samples(x, x->order[i]), most = batch_size(x, length);
        count = 1;
        while (count < most && i + count < n && input_samples(x, x->order[i + count]) == length)
            count++;
        status = embed(x, x->order + i, count, error);
        if (status == 0 && i == 0)
            log_memory(x, length);
        if (status == 0 && interrupt_requested())
            status = interrupt_fail(error);
        progress_step(progress, count);
    }
    progress_destroy(progress);
    return status;
}

static Piece choose_piece(const Extraction *x, int64_t utt, int64_t index)
{
    const Settings *s = x->settings;
    if (s->crops > 0)
        return piece_of_crops(x->corpus, utt, index, s->crops, crop_length(s));
    return piece_of(x->corpus, utt, s->halves > 0 ? 1 + (int)index : 0);
}

// Every utterance, or crops of every utterance; or the halves of at most settings->halves ones, evenly spaced
// over the list.
static int choose_pieces(Extraction *x, Error *error)
{
    const Settings *s = x->settings;
    int64_t n_utts = corpus_count(x->corpus),
            n_chosen = s->halves > 0 && n_utts > s->halves ? s->halves : n_utts;
    int64_t each = s->halves > 0 ? PIECES_OF_HALVES : s->crops > 0 ? s->crops : 1;
    x->each_row = s->crops > 0 ? s->crops : 1;
    x->n_pieces = n_chosen * each;
    int64_t n = x->n_pieces / x->each_row, dim = x->model.encoder->embedding_dim;
    x->embeddings = (Embeddings){.n = n, .dim = dim};
    x->embeddings.matrix = mem_try_alloc((size_t)n, (size_t)dim * sizeof(float), "the embeddings", error);
    if (!x->embeddings.matrix)
        return -1;
    memset(x->embeddings.matrix, 0, (size_t)(n * dim) * sizeof(float));
    x->embeddings.utts = mem_alloc((size_t)n, sizeof(char *));
    x->pieces = mem_alloc((size_t)x->n_pieces, sizeof(Piece));
    x->order = mem_alloc((size_t)x->n_pieces, sizeof(int64_t));
    for (int64_t i = 0; i < x->n_pieces; i++) {
        int64_t utt = (int64_t)((double)(i / each) * (double)n_utts / (double)n_chosen);
        x->pieces[i] = choose_piece(x, utt, i % each);
        x->order[i] = i;
        x->n_cut += used_samples(x, i) < x->pieces[i].n_samples;
        x->n_repeated += input_samples(x, i) > x->pieces[i].n_samples;
        if (i % x->each_row == 0)
            x->embeddings.utts[i / x->each_row] =
                piece_name(corpus_utt(x->corpus, utt), s->halves > 0 ? 1 + (int)(i % each) : 0);
    }
    sorted_extraction = x;
    qsort(x->order, (size_t)x->n_pieces, sizeof(int64_t), compare_lengths);
    return 0;
}

static int open_inputs(const Settings *s, Extraction *x, Error *error)
{
    x->settings = s;
    if (encoder_load(s->model, &x->model, error) < 0 || !(x->corpus = corpus_open(s->audio, error)))
        return -1;
    x->tape = tape_create();
    if (x->model.encoder->input == ENCODER_FBANK) {
        FbankOptions options = fbank_defaults();
        options.dither = 0;
        x->fbank = fbank_create(&options);
    }
    return choose_pieces(x, error);
}

static int check_finite(const Extraction *x, Error *error)
{
    const Embeddings *e = &x->embeddings;
    for (int64_t i = 0; i < e->n; i++)
        for (int64_t d = 0; d < e->dim; d++)
            if (!(e->matrix[i * e->dim + d] - e->matrix[i * e->dim + d] == 0))
                return error_set(error, "%s gives %s an embedding that is not finite", x->settings->model,
                                 e->utts[i]);
    return 0;
}

static int publish(const Program *program, const Settings *s, const Embeddings *embeddings, Error *error)
{
    int (*write)(const char *, const Embeddings *, Error *) = embeddings_publish_shard;
    if (strcmp(s->format, "npy") == 0)
        write = embeddings_publish_npy;
    else if (strcmp(s->format, "ark") == 0)
        write = ark_publish;
    if (write(s->out, embeddings, error) < 0)
        return -1;
    return provenance_publish(program, s->out, (const char *[]){s->audio, s->model, NULL}, error);
}

static int extract(const Program *program, const Settings *s, Extraction *x, Error *error)
{
    if (open_inputs(s, x, error) < 0 || embed_all(x, error) < 0 || check_finite(x, error) < 0)
        return -1;
    if (x->n_cut)
        log_info("%" PRId64 " utterances longer than %g s: their middle was used", x->n_cut,
                 s->longest_seconds);
    if (x->n_repeated)
        log_info("%" PRId64 " pieces shorter than is needed were repeated", x->n_repeated);
    return publish(program, s, &x->embeddings, error);
}

static void release(Extraction *x)
{
    embeddings_release(&x->embeddings);
    fbank_destroy(x->fbank);
    tape_destroy(x->tape);
    if (x->model.encoder)
        loaded_encoder_release(&x->model);
    corpus_close(x->corpus);
    mem_free(x->pieces);
    mem_free(x->order);
}

int main(int argc, char **argv)
{
    Settings s = {.format = "shard", .batch = 16, .longest_seconds = 60, .crop_frames = 400};
    const Option options[] = {
        {"audio", OPTION_TEXT, &s.audio, 0, 0, NULL, "DIR", "audio as voxloop-prepare leaves it", true},
        {"model", OPTION_TEXT, &s.model, 0, 0, NULL, "FILE", "checkpoint (safetensors)", true},
        {"out", OPTION_TEXT, &s.out, 0, 0, NULL, "FILE", "the embeddings", true},
        {"format", OPTION_CHOICE, &s.format, 0, 0, "shard|npy|ark", NULL, "of the embeddings", false},
        {"batch", OPTION_INTEGER, &s.batch, 1, 4096, NULL, NULL, "most utterances of equal length at once",
         false},
        {"longest-seconds", OPTION_REAL, &s.longest_seconds, 0, 1e6, NULL, NULL,
         "of a longer utterance the middle is used; 0: all of it", false},
        {"halves", OPTION_INTEGER, &s.halves, 0, 1e12, NULL, NULL,
         "instead: both halves (UTT#1, UTT#2) of at most so many utterances, for label-free trials", false},
        {"crops", OPTION_INTEGER, &s.crops, 0, 1e6, NULL, NULL,
         "instead: the mean of the unit-length embeddings of so many crops, evenly spaced (the recipe: 15)",
         false},
        {"crop-frames", OPTION_INTEGER, &s.crop_frames, 10, 100000, NULL, NULL, "their length, 10 ms each",
         false},
        {0}};
    Program program = {.name = "extract",
                       .summary = "Computes one embedding per utterance.",
                       .usage = "[options] --audio DIR --model FILE --out FILE"};
    program_begin(&program, options, argc, argv);
    if (s.halves > 0 && s.crops > 0)
        program_misuse(&program, "--halves and --crops exclude each other");
    Error error = {0};
    Extraction x = {0};
    int status = extract(&program, &s, &x, &error);
    int64_t n = x.embeddings.n, dim = x.embeddings.dim;
    release(&x);
    if (status < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%" PRId64 " embeddings of %" PRId64 " dimensions", n, dim);
}
