#include "cache/kaldi_ark.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/lists.h"
#include "cache/publish.h"

enum { HEAD_BYTES = 10, MOST_DIMS = 1 << 20, MOST_ID_BYTES = 4096 }; // HEAD: NUL 'B' "FV " 4 <int32>

// --- publishing

static int check_ids(const char *path, const Embeddings *embeddings, Error *error)
{
    for (int64_t i = 0; i < embeddings->n; i++)
        if (strpbrk(embeddings->utts[i], " \t"))
            return error_set(error,
                             "%s: utterance \"%s\" holds a blank, which ends an id in Kaldi's files; "
                             "choose another format",
                             path, embeddings->utts[i]);
    return 0;
}

static int write_vectors(FILE *ark, FILE *scp, const char *path, const Embeddings *embeddings, Error *error)
{
    int32_t dim = (int32_t)embeddings->dim;
    size_t n_bytes = (size_t)dim * sizeof(float);
    int64_t offset = 0;
    for (int64_t i = 0; i < embeddings->n; i++) {
        offset += fprintf(ark, "%s ", embeddings->utts[i]);
        fprintf(scp, "%s %s:%" PRId64 "\n", embeddings->utts[i], path, offset);
        fwrite("\0BFV \4", 1, 6, ark);
        fwrite(&dim, sizeof dim, 1, ark);
        if (fwrite(embeddings->matrix + i * dim, 1, n_bytes, ark) != n_bytes)
            return error_set_errno(error, "%s: cannot write", path);
        offset += HEAD_BYTES + (int64_t)n_bytes;
    }
    return 0;
}

static int publish_both(PublishFile *ark, PublishFile *scp, const char *path, const Embeddings *embeddings,
                        Error *error)
{
    if (write_vectors(publish_stream(ark), publish_stream(scp), path, embeddings, error) < 0) {
        publish_abandon(ark);
        publish_abandon(scp);
        return -1;
    }
    if (publish_commit(ark, error) == 0)
        return publish_commit(scp, error);
    publish_abandon(scp);
    return -1;
}

char *ark_scp_path(const char *ark)
{
    size_t n = strlen(ark), stem = n > 4 && strcmp(ark + n - 4, ".ark") == 0 ? n - 4 : n;
    return mem_printf("%.*s.scp", (int)stem, ark);
}

int ark_publish(const char *path, const Embeddings *embeddings, Error *error)
{
    if (check_ids(path, embeddings, error) < 0)
        return -1;
    char *scp_path = ark_scp_path(path);
    PublishFile *ark = publish_open(path, error), *scp = ark ? publish_open(scp_path, error) : NULL;
    int status = -1;
    if (scp)
        status = publish_both(ark, scp, path, embeddings, error);
    else
        publish_abandon(ark);
    mem_free(scp_path);
    return status;
}

// --- loading

typedef struct Rows {
    Embeddings *embeddings;
    int64_t capacity;
} Rows;

// One vector from where the stream stands, at the NUL. `utt` becomes the row's.
static int read_vector(FILE *file, const char *path, const char *utt, Rows *rows, Error *error)
{
    char head[6];
    int32_t dim;
    bool whole = fread(head, 1, 6, file) == 6, is_double = whole && memcmp(head, "\0BDV \4", 6) == 0;
    if (whole && !is_double && memcmp(head, "\0BFV \4", 6) != 0)
        return error_set(error, "%s: %s is no binary Kaldi vector; write it with copy-vector in binary form",
                         path, utt);
    if (!whole || fread(&dim, sizeof dim, 1, file) != 1)
        return error_set(error, "%s ends inside the vector of %s", path, utt);
    Embeddings *e = rows->embeddings;
    if (dim < 1 || dim > MOST_DIMS || (e->n > 0 && dim != e->dim))
        return error_set(error, "%s: the vector of %s has %d numbers, not %lld", path, utt, dim,
                         (long long)(e->n > 0 ? e->dim : 1));
    e->dim = dim;
    if (e->n == rows->capacity) {
        rows->capacity = 2 * rows->capacity + 64;
        e->matrix = mem_grow(e->matrix, (size_t)(rows->capacity * dim), sizeof(float));
        e->utts = mem_grow(e->utts, (size_t)rows->capacity, sizeof(char *));
    }
    float *row = e->matrix + e->n * dim;
    for (int32_t d = 0; d < dim; d++) {
        double wide;
        if (fread(is_double ? (void *)&wide : (void *)&row[d], is_double ? 8 : 4, 1, file) != 1)
            return error_set(error, "%s ends inside the vector of %s", path, utt);
        if (is_double)
            row[d] = (float)wide;
    }
    e->utts[e->n++] = mem_strdup(utt);
    return 0;
}

// The id up to the blank: 1, or 0 at the end of the file.
static int read_id(FILE *file, const char *path, char id[MOST_ID_BYTES], Error *error)
{
    int n = 0, c;
    while ((c = fgetc(file)) != EOF && c != ' ') {
        if (n == MOST_ID_BYTES - 1 || c < ' ')
            return error_set(error, "%s is no Kaldi archive: no utterance at byte %ld", path,
                             ftell(file) - n - 1);
        id[n++] = (char)c;
    }
    id[n] = '\0';
    if (c == EOF && n > 0)
        return error_set(error, "%s ends inside the name %s", path, id);
    return c != EOF;
}

int ark_load(const char *path, Embeddings *embeddings, Error *error)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return error_set_errno(error, "cannot open %s", path);
    Rows rows = {embeddings, 0};
    char id[MOST_ID_BYTES];
    int status;
    while ((status = read_id(file, path, id, error)) == 1)
        if ((status = read_vector(file, path, id, &rows, error)) < 0)
            break;
    fclose(file);
    if (status == 0 && embeddings->n == 0)
        return error_set(error, "%s holds no vectors", path);
    return status;
}

// `utt file:offset`; the archive stays open from line to line.
typedef struct OpenArk {
    char *path;
    FILE *file;
} OpenArk;

// Cuts a line of `utt file:offset`.
static int parse_scp_line(const char *path, char *line, char **utt, char **place, long long *offset,
                          Error *error)
{
    char *rest = NULL, *end;
    *utt = strtok_r(line, " \t", &rest);
    *place = strtok_r(NULL, "", &rest);
    char *colon = *place ? strrchr(*place, ':') : NULL;
    if (!colon)
        return error_set(error, "%s: %s has no `archive:offset`", path, *utt);
    *colon = '\0';
    *offset = strtoll(colon + 1, &end, 10);
    if (end == colon + 1 || *end || *offset < 0)
        return error_set(error, "%s: %s has no `archive:offset`", path, *utt);
    return 0;
}

static int read_scp_line(const char *path, char *line, OpenArk *ark, Rows *rows, Error *error)
{
    char *utt, *place;
    long long offset;
    if (parse_scp_line(path, line, &utt, &place, &offset, error) < 0)
        return -1;
    if (!ark->path || strcmp(ark->path, place) != 0) {
        if (ark->file)
            fclose(ark->file);
        mem_free(ark->path);
        ark->path = mem_strdup(place);
        if (!(ark->file = fopen(place, "rbe")))
            return error_set_errno(error, "%s: cannot open %s", path, place);
    }
    if (fseeko(ark->file, offset, SEEK_SET) != 0)
        return error_set_errno(error, "%s: cannot go to byte %lld", ark->path, offset);
    return read_vector(ark->file, ark->path, utt, rows, error);
}

int ark_scp_load(const char *path, Embeddings *embeddings, Error *error)
{
    char **lines;
    int64_t n;
    if (lines_load(path, &lines, &n, error) < 0)
        return -1;
    Rows rows = {embeddings, 0};
    OpenArk ark = {0};
    int status = n > 0 ? 0 : error_set(error, "%s is empty; expected lines `utterance archive:offset`", path);
    for (int64_t i = 0; status == 0 && i < n; i++)
        status = read_scp_line(path, lines[i], &ark, &rows, error);
    if (ark.file)
        fclose(ark.file);
    mem_free(ark.path);
    strings_free(lines, n);
    return status;
}

int ark_scp_archives(const char *path, char ***archives, int64_t *n, Error *error)
{
    char **lines, **found = NULL, *utt, *place;
    int64_t n_lines, n_found = 0;
    long long offset;
    if (lines_load(path, &lines, &n_lines, error) < 0)
        return -1;
    int status = 0;
    for (int64_t i = 0; i < n_lines && status == 0; i++) {
        if ((status = parse_scp_line(path, lines[i], &utt, &place, &offset, error)) < 0)
            break;
        bool known = false;
        for (int64_t k = n_found; k-- > 0 && !known;)
            known = strcmp(found[k], place) == 0;
        if (known)
            continue;
        found = mem_grow(found, (size_t)n_found + 1, sizeof *found);
        found[n_found++] = mem_strdup(place);
    }
    strings_free(lines, n_lines);
    if (status < 0) {
        strings_free(found, n_found);
        return -1;
    }
    *archives = found;
    *n = n_found;
    return 0;
}
