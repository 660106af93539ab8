#include "cache/embeddings.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/log.h"
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

static int refuse_count(const char *path, const char *list, const Embeddings *embeddings, int64_t n_utts,
                        Error *error)
{
    return error_set(error, "%s has %" PRId64 " rows but %s has %" PRId64 " lines", path, embeddings->n, list,
                     n_utts);
}

// Takes the lines over, or frees them where they are not as many as there are rows.
static int take_lines(const char *path, const char *list, char **lines, int64_t n_lines,
                      Embeddings *embeddings, Error *error)
{
    if (n_lines == embeddings->n) {
        embeddings->utts = lines;
        return 0;
    }
    strings_free(lines, n_lines);
    return refuse_count(path, list, embeddings, n_lines, error);
}

static int read_members(const ShardReader *reader, const char *path, char **data, size_t *n_data, char **text,
                        size_t *n_text, Embeddings *embeddings, Error *error)
{
    char **lines;
    int64_t n_lines;
    if (shard_reader_load(reader, "embeddings.npy", data, n_data, error) < 0 ||
        shard_reader_load(reader, "utts.txt", text, n_text, error) < 0 ||
        npy_decode(path, *data, *n_data, &embeddings->matrix, &embeddings->n, &embeddings->dim, error) < 0 ||
        own_lines_split(path, *text, *n_text, &lines, &n_lines, error) < 0)
        return -1;
    return take_lines(path, "its utts.txt", lines, n_lines, embeddings, error);
}

static int load_shard(const char *path, Embeddings *embeddings, Error *error)
{
    ShardReader *reader = shard_reader_open(path, error);
    if (!reader)
        return -1;
    char *data = NULL, *text = NULL;
    size_t n_data, n_text;
    int status = read_members(reader, path, &data, &n_data, &text, &n_text, embeddings, error);
    mem_free(text);
    mem_free(data);
    shard_reader_close(reader);
    return status;
}

// "a/x.utts.txt" for "a/x.npy"
static char *own_list(const char *npy)
{
    size_t n = strlen(npy);
    return mem_printf("%.*s.utts.txt", (int)(ends_in(npy, ".npy") ? n - 4 : n), npy);
}

static char *shared_list(const char *npy)
{
    char *folder = path_folder(npy), *list = path_join(folder, "utts.txt");
    mem_free(folder);
    return list;
}

char *embeddings_list_beside(const char *npy)
{
    char *list = own_list(npy);
    if (file_exists(list))
        return list;
    mem_free(list);
    list = shared_list(npy);
    if (file_exists(list))
        return list;
    mem_free(list);
    return NULL;
}

// A matrix of as many rows without a list of its own: utts.txt could as well be its. A new string, or NULL.
static char *find_rival(const char *npy, int64_t n_rows)
{
    char *folder = path_folder(npy), *rival = NULL;
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && !rival && (entry = readdir(entries));) {
        if (!ends_in(entry->d_name, ".npy") || strcmp(entry->d_name, path_name(npy)) == 0)
            continue;
        char *path = path_join(folder, entry->d_name), *list = own_list(path);
        int64_t rows, cols;
        if (!file_exists(list) && npy_shape(path, &rows, &cols) == 0 && rows == n_rows)
            rival = mem_strdup(entry->d_name);
        mem_free(list);
        mem_free(path);
    }
    if (entries)
        closedir(entries);
    mem_free(folder);
    return rival;
}

static int check_shared(const char *npy, const char *list, int64_t n_rows, Error *error)
{
    char *rival = find_rival(npy, n_rows);
    if (rival)
        error_set(error,
                  "%s: %s beside it may be the list of %s, which has as many rows; give --list, or name each "
                  "list like its matrix (x.utts.txt for x.npy)",
                  npy, path_name(list), rival);
    else
        log_warn("%s: %s beside it has as many lines as there are rows and is taken for their names", npy,
                 path_name(list));
    int status = rival ? -1 : 0;
    mem_free(rival);
    return status;
}

// The rows' names: list_path, or what lies beside the matrix.
static int load_names(const char *path, const char *list_path, Embeddings *embeddings, Error *error)
{
    char *list = list_path ? mem_strdup(list_path) : embeddings_list_beside(path), *own = own_list(path),
         **lines;
    int64_t n_lines;
    int status = list ? 0
                      : error_set(error, "%s: no list of its rows; give --list, or put %s beside it", path,
                                  path_name(own));
    if (status == 0)
        status = lines_load(list, &lines, &n_lines, error);
    if (status == 0)
        status = take_lines(path, list, lines, n_lines, embeddings, error);
    if (status == 0 && !list_path && strcmp(list, own) != 0)
        status = check_shared(path, list, embeddings->n, error);
    mem_free(own);
    mem_free(list);
    return status;
}

bool embeddings_take_list(const char *path)
{
    return ends_in(path, ".npy");
}

static int load_npy(const char *path, const char *list_path, Embeddings *embeddings, Error *error)
{
    if (npy_load(path, &embeddings->matrix, &embeddings->n, &embeddings->dim, error) < 0)
        return -1;
    return load_names(path, list_path, embeddings, error);
}

// The rows as they are, in the order of the file.
static int load_rows(const char *path, const char *list_path, Embeddings *embeddings, Error *error)
{
    if (embeddings_take_list(path))
        return load_npy(path, list_path, embeddings, error);
    if (ends_in(path, ".npz"))
        return error_set(
            error,
            "%s holds several arrays; save the embeddings alone by numpy.save(\"x.npy\", ...) and "
            "their names, a line each, as x.utts.txt",
            path);
    if (ends_in(path, ".ark"))
        return ark_load(path, embeddings, error);
    return ends_in(path, ".scp") ? ark_scp_load(path, embeddings, error)
                                 : load_shard(path, embeddings, error);
}

static int check_values(const char *path, const Embeddings *embeddings, Error *error)
{
    if (embeddings->n == 0 || embeddings->dim == 0)
        return error_set(error, "%s holds no embeddings", path);
    for (int64_t i = 0; i < embeddings->n * embeddings->dim; i++)
        if (!(embeddings->matrix[i] - embeddings->matrix[i] == 0))
            return error_set(error, "%s: the embedding of %s holds a NaN or an infinity; extract it again",
                             path, embeddings->utts[i / embeddings->dim]);
    return 0;
}

int embeddings_load(const char *path, const char *list_path, Embeddings *embeddings, Error *error)
{
    Embeddings loaded = {0};
    bool foreign = embeddings_take_list(path) || ends_in(path, ".ark") || ends_in(path, ".scp");
    int status = load_rows(path, list_path, &loaded, error);
    if (status == 0 && foreign)
        take_ids(&loaded);
    if (status == 0)
        status = sort_rows(path, &loaded, error);
    if (status == 0)
        status = check_values(path, &loaded, error);
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

// The list goes first and the matrix last: a matrix that is there has its own list.
static int publish_with_list(const char *path, const char *list_path, const char *data, size_t n_bytes,
                             const TextBuffer *text, Error *error)
{
    PublishFile *list = publish_open(list_path, error), *matrix = list ? publish_open(path, error) : NULL;
    if (!matrix) {
        publish_abandon(list);
        return -1;
    }
    fwrite(text->data, 1, text->n_bytes, publish_stream(list)); // commit sees a failure
    fwrite(data, 1, n_bytes, publish_stream(matrix));
    return publish_commit_pair(list, matrix, error);
}

int embeddings_publish_npy(const char *path, const Embeddings *embeddings, Error *error)
{
    char *data;
    size_t n_bytes;
    if (npy_encode(embeddings->matrix, embeddings->n, embeddings->dim, &data, &n_bytes, error) < 0)
        return -1;
    TextBuffer text = utts_text(embeddings);
    char *list = own_list(path);
    int status = publish_is_through(path) ? publish_bytes(path, data, n_bytes, error)
                                          : publish_with_list(path, list, data, n_bytes, &text, error);
    mem_free(list);
    buffer_release(&text);
    mem_free(data);
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
