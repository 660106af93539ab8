#include "cache/embeddings.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/text_buffer.h"
#include "cache/kaldi_ark.h"
#include "cache/lists.h"
#include "cache/names.h"
#include "cache/npy.h"
#include "cache/publish.h"
#include "cache/shard.h"

enum { COMPRESSION_LEVEL = 3 };

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static TextBuffer utts_text(const Embeddings *embeddings)
{
    TextBuffer text = {0};
    for (int64_t i = 0; i < embeddings->n; i++)
        buffer_printf(&text, "%s\n", embeddings->utts[i]);
    return text;
}

static int split_lines(char *text, char ***lines, int64_t *n)
{
    int64_t count = 0;
    for (const char *c = text; *c; c++)
        count += *c == '\n';
    *lines = mem_alloc((size_t)count, sizeof(char *));
    *n = count;
    for (int64_t i = 0; i < count; i++) {
        char *end = strchr(text, '\n');
        *end = '\0';
        (*lines)[i] = mem_strdup(text);
        text = end + 1;
    }
    return 0;
}

// Names that other tools gave, with blanks and whatever else an id cannot hold, become ids.
static void take_ids(Embeddings *embeddings)
{
    for (int64_t i = 0; i < embeddings->n; i++) {
        char *id = name_as_id(embeddings->utts[i]);
        mem_free(embeddings->utts[i]);
        embeddings->utts[i] = id;
    }
}

// --- order

static int compare_rows(const void *left, const void *right, void *utts)
{
    char *const *all = utts;
    return strcmp(all[*(const int64_t *)left], all[*(const int64_t *)right]);
}

// Sorts the rows by utterance; a duplicate is an error.
static int sort_rows(const char *name, Embeddings *embeddings, Error *error)
{
    int64_t n = embeddings->n, dim = embeddings->dim;
    bool sorted = true;
    for (int64_t i = 1; i < n && sorted; i++)
        sorted = strcmp(embeddings->utts[i - 1], embeddings->utts[i]) < 0;
    if (sorted)
        return 0;
    int64_t *order = mem_alloc((size_t)n, sizeof *order);
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    qsort_r(order, (size_t)n, sizeof *order, compare_rows, embeddings->utts);
    float *matrix = mem_alloc((size_t)(n * dim), sizeof(float));
    char **utts = mem_alloc((size_t)n, sizeof(char *));
    for (int64_t i = 0; i < n; i++) {
        memcpy(matrix + i * dim, embeddings->matrix + order[i] * dim, (size_t)dim * sizeof(float));
        utts[i] = embeddings->utts[order[i]];
    }
    mem_free(embeddings->matrix);
    mem_free(embeddings->utts);
    mem_free(order);
    embeddings->matrix = matrix;
    embeddings->utts = utts;
    for (int64_t i = 1; i < n; i++)
        if (strcmp(utts[i - 1], utts[i]) == 0)
            return error_set(error, "%s: utterance %s occurs twice; ids must be unique", name, utts[i]);
    return 0;
}

// --- loading

static int load_shard(const char *path, Embeddings *embeddings, Error *error)
{
    ShardReader *reader = shard_reader_open(path, error);
    if (!reader)
        return -1;
    char *data = NULL, *text = NULL;
    size_t n_bytes;
    int status = shard_reader_load(reader, "embeddings.npy", &data, &n_bytes, error);
    if (status == 0)
        status = shard_reader_load(reader, "utts.txt", &text, NULL, error);
    if (status == 0)
        status =
            npy_decode(path, data, n_bytes, &embeddings->matrix, &embeddings->n, &embeddings->dim, error);
    int64_t n_utts = 0;
    if (status == 0)
        status = split_lines(text, &embeddings->utts, &n_utts);
    if (status == 0 && n_utts != embeddings->n) {
        status = error_set(error, "%s: %" PRId64 " embeddings but %" PRId64 " utterances; make it again",
                           path, embeddings->n, n_utts);
        strings_free(embeddings->utts, n_utts);
        embeddings->utts = NULL;
    }
    mem_free(text);
    mem_free(data);
    shard_reader_close(reader);
    return status;
}

static int load_npy(const char *path, const char *list_path, Embeddings *embeddings, Error *error)
{
    char *folder = path_folder(path), *beside = path_join(folder, "utts.txt");
    const char *list = list_path ? list_path : beside;
    int64_t n_utts = 0;
    int status = npy_load(path, &embeddings->matrix, &embeddings->n, &embeddings->dim, error);
    if (status == 0)
        status = lines_load(list, &embeddings->utts, &n_utts, error);
    if (status == 0 && n_utts != embeddings->n) {
        status = error_set(error, "%s has %" PRId64 " rows but %s has %" PRId64 " lines", path, embeddings->n,
                           list, n_utts);
        strings_free(embeddings->utts, n_utts);
        embeddings->utts = NULL;
    }
    mem_free(beside);
    mem_free(folder);
    return status;
}

bool embeddings_take_list(const char *path)
{
    return ends_in(path, ".npy");
}

int embeddings_load(const char *path, const char *list_path, Embeddings *embeddings, Error *error)
{
    Embeddings loaded = {0};
    int status;
    bool foreign = embeddings_take_list(path) || ends_in(path, ".ark") || ends_in(path, ".scp");
    if (embeddings_take_list(path))
        status = load_npy(path, list_path, &loaded, error);
    else if (ends_in(path, ".ark"))
        status = ark_load(path, &loaded, error);
    else if (ends_in(path, ".scp"))
        status = ark_scp_load(path, &loaded, error);
    else
        status = load_shard(path, &loaded, error);
    if (status == 0 && foreign)
        take_ids(&loaded);
    if (status == 0)
        status = sort_rows(path, &loaded, error);
    for (int64_t i = 0; status == 0 && i < loaded.n * loaded.dim; i++)
        if (!(loaded.matrix[i] - loaded.matrix[i] == 0))
            status = error_set(error, "%s: the embedding of %s holds a NaN or an infinity; extract it again",
                               path, loaded.utts[i / loaded.dim]);
    if (status < 0) {
        embeddings_release(&loaded);
        return -1;
    }
    *embeddings = loaded;
    return 0;
}

// --- publishing

int embeddings_publish_shard(const char *path, const Embeddings *embeddings, Error *error)
{
    char *data = NULL;
    size_t n_bytes;
    if (npy_encode(embeddings->matrix, embeddings->n, embeddings->dim, &data, &n_bytes, error) < 0)
        return -1;
    TextBuffer text = utts_text(embeddings);
    ShardWriter *writer = shard_writer_create(path, COMPRESSION_LEVEL, error);
    int status = -1;
    if (writer && shard_writer_add(writer, "embeddings.npy", data, n_bytes, error) == 0 &&
        shard_writer_add(writer, "utts.txt", buffer_text(&text), text.n_bytes, error) == 0)
        status = shard_writer_commit(writer, error);
    else
        shard_writer_abandon(writer);
    buffer_release(&text);
    mem_free(data);
    return status;
}

int embeddings_publish_npy(const char *path, const Embeddings *embeddings, Error *error)
{
    char *folder = path_folder(path), *list = path_join(folder, "utts.txt");
    TextBuffer text = utts_text(embeddings);
    int status = publish_text(list, buffer_text(&text), error);
    if (status == 0)
        status = npy_publish(path, embeddings->matrix, embeddings->n, embeddings->dim, error);
    buffer_release(&text);
    mem_free(list);
    mem_free(folder);
    return status;
}

int64_t embeddings_find(const Embeddings *embeddings, const char *utt)
{
    return strings_find(embeddings->utts, embeddings->n, utt);
}

void embeddings_release(Embeddings *embeddings)
{
    strings_free(embeddings->utts, embeddings->utts ? embeddings->n : 0);
    mem_free(embeddings->matrix);
    *embeddings = (Embeddings){0};
}
