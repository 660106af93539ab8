#include "infer/embedder.h"

#include <pthread.h>
#include <string.h>

#include "audio/decode.h"
#include "audio/front_end.h"
#include "base/digest.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/threads.h"
#include "peers/peer_load.h"
#include "train/checkpoint.h"

static const DecodeLimits LIMITS = {.min_seconds = 0.1, .max_seconds = 14400, .silence_db = -70};

struct Embedder {
    Encoder *encoder;  // of `own` or `peer`
    LoadedEncoder own; // encoder NULL: the model is a peer's
    PeerEncoder peer;
    FrontEnd *front_end;
    char digest[17];
    OperatingPoint point;
    bool has_point;
    pthread_mutex_t lock; // guards what is below
    Tape **tapes;         // [n_tapes] that nobody uses
    int64_t n_tapes;
    bool ran; // encoders may make tables in their first run, which is therefore alone
};

// --- opening

static bool is_ours(const char *path)
{
    Error ignored = {0};
    SafeReader *reader = folder_exists(path) ? NULL : safe_open(path, &ignored);
    bool ours = reader && safe_metadata(reader, "architecture");
    safe_close(reader);
    return ours;
}

static void digest_weights(const Parameters *parameters, char hex[17])
{
    Digest *digest = digest_create();
    for (int64_t i = 0; i < parameters->n_items; i++) {
        const Parameter *item = parameters->items[i];
        digest_add(digest, item->name, strlen(item->name) + 1);
        digest_add(digest, item->tensor.data, (size_t)tensor_size(&item->tensor) * sizeof(float));
    }
    digest_finish(digest, hex);
}

static int load_peer(const char *path, Embedder *e, Error *error)
{
    PeerFile *file = peer_open(path, error);
    int status = file ? peer_load(file, NULL, NULL, &e->peer, error) : -1;
    if (status == 0 && (status = encoder_check_input(e->peer.encoder, error)) < 0)
        error_prefix(error, "%s", path);
    if (status == 0 && e->peer.without_pooling)
        status = error_set(error, "%s has no pooling: it was pre-trained only; fine-tune it first (WAVLM=%s)",
                           path, path);
    e->encoder = e->peer.encoder;
    if (e->encoder)
        digest_weights(&e->peer.parameters, e->digest);
    peer_close(file);
    return status;
}

static int load_own(const char *path, Embedder *e, Error *error)
{
    if (encoder_load(path, &e->own, error) < 0)
        return -1;
    e->encoder = e->own.encoder;
    digest_weights(&e->own.parameters, e->digest);
    SafeReader *reader = safe_open(path, error);
    const char *point = reader ? safe_metadata(reader, "operating_point") : NULL;
    int status = reader ? 0 : -1;
    if (point && (status = operating_point_parse(point, &e->point, error)) < 0)
        error_prefix(error, "%s", path);
    e->has_point = point != NULL;
    safe_close(reader);
    return status;
}

Embedder *embedder_open(const char *path, Error *error)
{
    if (!file_exists(path) && !folder_exists(path)) {
        error_set(error, "%s: there is no such model", path);
        return NULL;
    }
    Embedder *e = mem_zero(1, sizeof *e);
    pthread_mutex_init(&e->lock, NULL);
    if ((is_ours(path) ? load_own(path, e, error) : load_peer(path, e, error)) < 0) {
        embedder_close(e);
        return NULL;
    }
    e->front_end = front_end_create(e->encoder->input);
    return e;
}

void embedder_close(Embedder *e)
{
    if (!e)
        return;
    for (int64_t i = 0; i < e->n_tapes; i++)
        tape_destroy(e->tapes[i]);
    mem_free(e->tapes);
    front_end_destroy(e->front_end);
    if (e->own.encoder)
        loaded_encoder_release(&e->own);
    if (e->peer.encoder)
        peer_encoder_release(&e->peer);
    pthread_mutex_destroy(&e->lock);
    mem_free(e);
}

int64_t embedder_dim(const Embedder *e)
{
    return e->encoder->embedding_dim;
}

const OperatingPoint *embedder_operating_point(const Embedder *e)
{
    return e->has_point ? &e->point : NULL;
}

const char *embedder_digest(const Embedder *e)
{
    return e->digest;
}

// --- running

static Tape *take_tape(Embedder *e)
{
    pthread_mutex_lock(&e->lock);
    Tape *tape = e->n_tapes > 0 ? e->tapes[--e->n_tapes] : NULL;
    if (e->ran)
        pthread_mutex_unlock(&e->lock); // else the lock is held until the first run is over
    return tape ? tape : tape_create();
}

static void give_tape_back(Embedder *e, Tape *tape, bool first)
{
    if (!first)
        pthread_mutex_lock(&e->lock);
    e->ran = true;
    e->tapes = mem_grow(e->tapes, (size_t)e->n_tapes + 1, sizeof(Tape *));
    e->tapes[e->n_tapes++] = tape;
    pthread_mutex_unlock(&e->lock);
}

static bool is_finite(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(x[i] - x[i] == 0))
            return false;
    return true;
}

typedef struct Run {
    Embedder *embedder;
    const float *row; // as the front end made it
    InputShape shape;
    float *embedding;
} Run;

static void forward_alone(void *context, int64_t item, int worker)
{
    (void)item, (void)worker;
    const Run *run = context;
    Embedder *e = run->embedder;
    Tape *tape = take_tape(e);
    bool first = !e->ran; // under the lock, where it is
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *input = encoder_input(e->encoder, tape, run->row, 1, run->shape);
    const Tensor *output = encoder_forward(e->encoder, tape, input, &(ForwardMode){.training = false});
    memcpy(run->embedding, output->data, (size_t)embedder_dim(e) * sizeof(float));
    give_tape_back(e, tape, first);
}

// On one thread, as voxloop-extract does it: the bytes do not depend on how many there are.
static int forward(Embedder *e, const float *row, InputShape shape, float *embedding, Error *error)
{
    threads_each(1, 1, forward_alone, &(Run){e, row, shape, embedding});
    return is_finite(embedding, embedder_dim(e))
               ? 0
               : error_set(error, "the model gives an embedding that is not finite");
}

int embedder_run(Embedder *e, const float *samples, int64_t n, float *embedding, Error *error)
{
    const int64_t longest = (int64_t)EMBEDDER_LONGEST_SECONDS * DECODE_RATE_HZ;
    int64_t n_used = n < longest ? n : longest,
            least = front_end_samples(e->encoder->input, e->encoder->min_input);
    int64_t n_input = n_used < least ? least : n_used;
    InputShape shape = front_end_shape(e->encoder->input, n_input);
    float *used = mem_try_alloc((size_t)n_input, sizeof(float), "the samples", error);
    float *row =
        used ? mem_try_alloc((size_t)input_floats(shape), sizeof(float), "the features", error) : NULL;
    int status = row ? 0 : -1;
    if (row) {
        memcpy(used, samples + (n - n_used) / 2, (size_t)n_used * sizeof(float));
        for (int64_t i = n_used; i < n_input; i++)
            used[i] = used[i - n_used];
        front_end_compute(e->front_end, used, n_input, NULL, row);
        status = forward(e, row, shape, embedding, error);
    }
    mem_free(row);
    mem_free(used);
    return status;
}

int embedder_run_file(Embedder *e, const char *path, float *embedding, Error *error)
{
    int16_t *pcm;
    int64_t n;
    if (audio_decode(path, &LIMITS, &pcm, &n, error) < 0)
        return error_prefix(error, "%s", path);
    float *samples = mem_try_alloc((size_t)n, sizeof(float), "the samples", error);
    int status = samples ? 0 : -1;
    for (int64_t i = 0; samples && i < n; i++)
        samples[i] = (float)pcm[i] / 32768.0f;
    if (status == 0 && (status = embedder_run(e, samples, n, embedding, error)) < 0)
        error_prefix(error, "%s", path);
    mem_free(samples);
    mem_free(pcm);
    return status;
}

int embedder_run_files(Embedder *e, char *const *paths, int64_t n, float *embeddings, Error *error)
{
    Progress *progress = progress_create("file", n);
    int status = 0;
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t i = 0; i < n; i++) {
        Error reason = {0};
        int stopped;
#pragma omp atomic read
        stopped = status;
        if (stopped || interrupt_requested())
            continue;
        if (embedder_run_file(e, paths[i], embeddings + i * embedder_dim(e), &reason) < 0) {
#pragma omp critical(embedder_error)
            error_set(error, "%s", reason.text); // the first one stays
#pragma omp atomic write
            status = -1;
        }
        progress_step(progress, 1);
    }
    progress_destroy(progress);
    return status == 0 && interrupt_requested() ? interrupt_fail(error) : status;
}
