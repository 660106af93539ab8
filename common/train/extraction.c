#include "train/extraction.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/fbank.h"
#include "audio/front_end.h"
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/threads.h"
#include "cache/pieces.h"
#include "score/cosine.h"
#include "train/checkpoint.h"

typedef struct Extraction {
    ExtractionOptions options;
    Corpus *corpus;
    LoadedEncoder model;
    FrontEnd *front_end;
    Tape **tapes; // [n_tapes], one for each utterance that is in work at the same time
    int n_tapes;  // 1 until the memory that one needs is known
    Embeddings embeddings;
    Piece *pieces;  // [n_pieces], each_row in a row for an embedding
    int64_t *order; // [n_pieces] the longest first: memory fails at once or never, and no long one is left at
                    // the end
    int64_t n_pieces, each_row;
    int64_t n_cut, n_repeated;
    Resume resume;
    int64_t n_done; // pieces, in order
} Extraction;

static int64_t crop_length(const ExtractionOptions *o)
{
    return fbank_samples(o->crop_frames);
}

// Samples that are used of a piece: all, up to the cap.
static int64_t used_samples(const Extraction *x, int64_t piece)
{
    int64_t cap = (int64_t)(x->options.longest_seconds * CORPUS_RATE_HZ);
    int64_t n = x->pieces[piece].n_samples;
    return cap > 0 && n > cap ? cap : n;
}

// The samples that the encoder gets: those used, repeated where they are fewer than it needs.
static int64_t input_samples(const Extraction *x, int64_t piece)
{
    int64_t n = used_samples(x, piece),
            least = front_end_samples(x->model.encoder->input, x->model.encoder->min_input);
    if (x->options.crops > 0 && least < crop_length(&x->options))
        least = crop_length(&x->options);
    return n < least ? least : n;
}

static int compare_lengths(const void *a, const void *b, void *extraction)
{
    const Extraction *x = extraction;
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    int64_t n = input_samples(x, i), m = input_samples(x, j);
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
    int64_t dim = x->embeddings.dim, crops = x->options.crops;
    float *row = x->embeddings.matrix + piece / x->each_row * dim;
    if (crops == 0) {
        memcpy(row, embedding, (size_t)dim * sizeof(float));
        return;
    }
    rows_normalise(embedding, 1, dim);
    for (int64_t d = 0; d < dim; d++)
        row[d] += embedding[d] / (float)crops;
}

// What the encoder takes, in a new block; NULL with a sentence.
static float *read_input(const Extraction *x, int64_t piece, InputShape shape, Error *error)
{
    int64_t n = input_samples(x, piece);
    float *samples = mem_try_alloc((size_t)n, sizeof(float), "an utterance", error), *input = NULL;
    if (samples && read_samples(x, piece, samples, error) == 0)
        input = mem_try_alloc((size_t)input_floats(shape), sizeof(float), "an utterance", error);
    if (input)
        front_end_compute(x->front_end, samples, n, NULL, input);
    mem_free(samples);
    return input;
}

// Pieces that the threads share.
typedef struct Share {
    Extraction *x;
    const int64_t *pieces;
    float *embeddings; // [count, dim]
    Error *errors;     // [count]
} Share;

static void embed(void *context, int64_t i, int worker)
{
    const Share *share = context;
    Extraction *x = share->x;
    Tape *tape = x->tapes[worker];
    InputShape shape = front_end_shape(x->model.encoder->input, input_samples(x, share->pieces[i]));
    int64_t dim = x->embeddings.dim;
    float *input = read_input(x, share->pieces[i], shape, &share->errors[i]);
    if (!input)
        return;
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *in = encoder_input(x->model.encoder, tape, input, 1, shape);
    Tensor *out = encoder_forward(x->model.encoder, tape, in, &(ForwardMode){.training = false});
    memcpy(share->embeddings + i * dim, out->data, (size_t)dim * sizeof(float));
    mem_free(input);
}

static int embed_batch(Extraction *x, const int64_t *pieces, int64_t count, Error *error)
{
    int64_t dim = x->embeddings.dim;
    Share share = {.x = x,
                   .pieces = pieces,
                   .embeddings = mem_alloc((size_t)(count * dim), sizeof(float)),
                   .errors = mem_zero((size_t)count, sizeof(Error))};
    int status = 0;
    threads_each(count, x->n_tapes, embed, &share);
    for (int64_t i = 0; status == 0 && i < count; i++)
        if (share.errors[i].text[0])
            status = error_set(error, "%s", share.errors[i].text);
        else
            take(x, pieces[i], share.embeddings + i * dim);
    mem_free(share.errors);
    mem_free(share.embeddings);
    return status;
}

// As many at once as there are threads, unless half of the free memory holds fewer of the longest, which is
// done.
static void make_tapes(Extraction *x)
{
    size_t each = tape_peak_bytes(x->tapes[0]);
    int64_t wanted = threads_count(), room = (int64_t)(mem_available_bytes() / 2 / (each ? each : 1));
    if (wanted > room)
        wanted = room > 1 ? room : 1;
    x->tapes = mem_grow(x->tapes, (size_t)wanted, sizeof *x->tapes);
    while (x->n_tapes < wanted)
        x->tapes[x->n_tapes++] = tape_create();
    char text[32];
    log_info("memory: activations take %s for the longest utterance, %.1f s; %d at once",
             log_bytes(text, (double)each), (double)input_samples(x, x->order[0]) / CORPUS_RATE_HZ,
             x->n_tapes);
}

static int restore(Extraction *x, Error *error)
{
    bool found;
    const ExtractionOptions *o = &x->options;
    int64_t n_values = x->embeddings.n * x->embeddings.dim;
    resume_init(&x->resume, o->out, o->recipe, o->pace);
    resume_keep(&x->resume, state_floats("embeddings", n_values, x->embeddings.matrix));
    resume_keep(&x->resume, state_count("done", &x->n_done, x->n_pieces));
    if (resume_load(&x->resume, &found, error) < 0)
        return -1;
    if (found)
        log_info("goes on after %" PRId64 " of %" PRId64 " pieces", x->n_done, x->n_pieces);
    return 0;
}

static int embed_all(Extraction *x, Error *error)
{
    Progress *progress =
        progress_create(x->n_pieces > corpus_count(x->corpus) ? "piece" : "utt", x->n_pieces);
    progress_step(progress, x->n_done);
    int status = 0;
    for (int64_t n_batches = 1; status == 0 && x->n_done < x->n_pieces; n_batches++) {
        int64_t n_left = x->n_pieces - x->n_done, most = n_batches == 1 ? 1 : x->options.batch;
        int64_t count = most < n_left ? most : n_left;
        status = embed_batch(x, x->order + x->n_done, count, error);
        x->n_done += status == 0 ? count : 0;
        progress_step(progress, status == 0 ? count : 0);
        if (status == 0 && n_batches == 1)
            make_tapes(x);
        if (status == 0)
            status = resume_step(&x->resume, x->n_done == x->n_pieces, error);
    }
    progress_destroy(progress);
    return status;
}

static Piece choose_piece(const Extraction *x, int64_t utt, int64_t index)
{
    const ExtractionOptions *o = &x->options;
    if (o->crops > 0)
        return piece_of_crops(x->corpus, utt, index, o->crops, crop_length(o));
    return piece_of(x->corpus, utt, o->halves > 0 ? 1 + (int)index : 0);
}

// Every utterance, or crops of every utterance; or the halves of at most options->halves ones, evenly spaced
// over the list.
static int choose_pieces(Extraction *x, Error *error)
{
    const ExtractionOptions *o = &x->options;
    int64_t n_utts = corpus_count(x->corpus),
            n_chosen = o->halves > 0 && n_utts > o->halves ? o->halves : n_utts;
    int64_t each = o->halves > 0 ? PIECES_OF_HALVES : o->crops > 0 ? o->crops : 1;
    x->each_row = o->crops > 0 ? o->crops : 1;
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
                piece_name(corpus_utt(x->corpus, utt), o->halves > 0 ? 1 + (int)(i % each) : 0);
    }
    qsort_r(x->order, (size_t)x->n_pieces, sizeof(int64_t), compare_lengths, x);
    return 0;
}

static int open_inputs(Extraction *x, Error *error)
{
    const ExtractionOptions *o = &x->options;
    if (encoder_load(o->model, &x->model, error) < 0 || !(x->corpus = corpus_open(o->audio, error)))
        return -1;
    x->tapes = mem_alloc(1, sizeof *x->tapes);
    x->tapes[x->n_tapes++] = tape_create();
    x->front_end = front_end_create(x->model.encoder->input);
    return choose_pieces(x, error);
}

static int check_finite(const Extraction *x, Error *error)
{
    const Embeddings *e = &x->embeddings;
    for (int64_t i = 0; i < e->n; i++)
        for (int64_t d = 0; d < e->dim; d++)
            if (!(e->matrix[i * e->dim + d] - e->matrix[i * e->dim + d] == 0))
                return error_set(error, "%s gives %s an embedding that is not finite", x->options.model,
                                 e->utts[i]);
    return 0;
}

static void log_unusual(const Extraction *x)
{
    if (x->n_cut)
        log_info("%" PRId64 " utterances longer than %g s: their middle was used", x->n_cut,
                 x->options.longest_seconds);
    if (x->n_repeated)
        log_info("%" PRId64 " pieces shorter than is needed were repeated", x->n_repeated);
}

static void release(Extraction *x)
{
    embeddings_release(&x->embeddings);
    front_end_destroy(x->front_end);
    for (int i = 0; i < x->n_tapes; i++)
        tape_destroy(x->tapes[i]);
    mem_free(x->tapes);
    if (x->model.encoder)
        loaded_encoder_release(&x->model);
    corpus_close(x->corpus);
    mem_free(x->pieces);
    mem_free(x->order);
    resume_release(&x->resume);
}

int extract_embeddings(const ExtractionOptions *options, Embeddings *embeddings, Error *error)
{
    Extraction x = {.options = *options};
    int status = open_inputs(&x, error);
    if (status == 0 && (status = restore(&x, error)) == 0 && (status = embed_all(&x, error)) == 0 &&
        (status = check_finite(&x, error)) == 0) {
        log_unusual(&x);
        *embeddings = x.embeddings;
        x.embeddings = (Embeddings){0};
    }
    release(&x);
    return status;
}
