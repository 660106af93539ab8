#include "cache/kaldi_ark.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/strange_file.h"
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

char *ark_scp_path(const char *ark)
{
    size_t n = strlen(ark), stem = n > 4 && strcmp(ark + n - 4, ".ark") == 0 ? n - 4 : n;
    return mem_printf("%.*s.scp", (int)stem, ark);
}

// Whoever finds the ark finds the scp that was written with it.
static int publish_both(const char *path, const char *scp_path, const Embeddings *embeddings, Error *error)
{
    PublishFile *ark = publish_open(path, error), *scp = ark ? publish_open(scp_path, error) : NULL;
    if (scp && write_vectors(publish_stream(ark), publish_stream(scp), path, embeddings, error) == 0)
        return publish_commit_pair(scp, ark, error);
    publish_abandon(ark);
    publish_abandon(scp);
    return -1;
}

int ark_publish(const char *path, const Embeddings *embeddings, Error *error)
{
    if (check_ids(path, embeddings, error) < 0)
        return -1;
    // Nothing lies beside a pipe: its index goes nowhere.
    char *scp_path = publish_is_through(path) ? mem_strdup("/dev/null") : ark_scp_path(path);
    int status = publish_both(path, scp_path, embeddings, error);
    mem_free(scp_path);
    return status;
}

// --- loading

// An open archive. Its size bounds what a vector may ask for.
typedef struct Ark {
    char *path;
    FILE *file;
    int64_t n_bytes;
} Ark;

static int ark_open(Ark *ark, const char *path, Error *error)
{
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return error_set(error, "%s is not a file", path); // a pipe would be waited for
    FILE *file = fopen(path, "rbe");
    if (!file || fstat(fileno(file), &info) != 0) {
        error_set_errno(error, "cannot open %s", path);
        if (file)
            fclose(file);
        return -1;
    }
    *ark = (Ark){mem_strdup(path), file, info.st_size};
    char head[STRANGE_HEAD_BYTES];
    const char *what = strange_text(head, fread(head, 1, sizeof head, file));
    rewind(file);
    return what ? error_set(error, "%s %s", path, what) : 0;
}

static void ark_close(Ark *ark)
{
    if (ark->file)
        fclose(ark->file);
    mem_free(ark->path);
    *ark = (Ark){0};
}

typedef struct Rows {
    Embeddings *embeddings;
    int64_t capacity;
} Rows;

typedef struct VectorHead {
    bool is_double;
    int32_t dim;
} VectorHead;

// From where the stream stands, at the NUL.
static int read_vector_head(const Ark *ark, const char *utt, const Embeddings *so_far, VectorHead *head,
                            Error *error)
{
    char mark[6];
    bool whole = fread(mark, 1, 6, ark->file) == 6;
    head->is_double = whole && memcmp(mark, "\0BDV \4", 6) == 0;
    if (whole && !head->is_double && memcmp(mark, "\0BFV \4", 6) != 0)
        return error_set(error, "%s: %s is no binary Kaldi vector; write it with copy-vector in binary form",
                         ark->path, utt);
    if (!whole || fread(&head->dim, sizeof head->dim, 1, ark->file) != 1)
        return error_set(error, "%s ends inside the vector of %s", ark->path, utt);
    if (head->dim < 1 || head->dim > MOST_DIMS || (so_far->n > 0 && head->dim != so_far->dim))
        return error_set(error, "%s: the vector of %s has %d numbers, not %lld", ark->path, utt, head->dim,
                         (long long)(so_far->n > 0 ? so_far->dim : 1));
    if (ark->n_bytes - ftello(ark->file) < (int64_t)head->dim * (head->is_double ? 8 : 4))
        return error_set(error, "%s ends inside the vector of %s", ark->path, utt);
    return 0;
}

// Twice what has been read at most: a few bytes cannot ask for much.
static int make_room(Rows *rows, Error *error)
{
    Embeddings *e = rows->embeddings;
    if (e->n < rows->capacity)
        return 0;
    int64_t capacity = 2 * rows->capacity + 1;
    float *matrix = mem_try_alloc((size_t)capacity, (size_t)e->dim * sizeof(float), "the embeddings", error);
    if (!matrix)
        return -1;
    if (e->n > 0)
        memcpy(matrix, e->matrix, (size_t)(e->n * e->dim) * sizeof(float));
    mem_free(e->matrix);
    e->matrix = matrix;
    e->utts = mem_grow(e->utts, (size_t)capacity, sizeof(char *));
    rows->capacity = capacity;
    return 0;
}

static int read_values(const Ark *ark, const char *utt, const VectorHead *head, float *row, Error *error)
{
    for (int32_t d = 0; d < head->dim; d++) {
        double wide;
        void *target = head->is_double ? (void *)&wide : (void *)&row[d];
        if (fread(target, head->is_double ? sizeof wide : sizeof *row, 1, ark->file) != 1)
            return error_set(error, "%s ends inside the vector of %s", ark->path, utt);
        if (head->is_double)
            row[d] = (float)wide;
    }
    return 0;
}

// `utt` becomes the row's.
static int read_vector(const Ark *ark, const char *utt, Rows *rows, Error *error)
{
    Embeddings *e = rows->embeddings;
    VectorHead head;
    if (interrupt_requested())
        return interrupt_fail(error);
    if (read_vector_head(ark, utt, e, &head, error) < 0)
        return -1;
    e->dim = head.dim;
    if (make_room(rows, error) < 0 || read_values(ark, utt, &head, e->matrix + e->n * e->dim, error) < 0)
        return -1;
    e->utts[e->n++] = mem_strdup(utt);
    return 0;
}

// The id up to the blank: 1, or 0 at the end of the file.
static int read_id(const Ark *ark, char id[MOST_ID_BYTES], Error *error)
{
    int n = 0, c;
    while ((c = fgetc(ark->file)) != EOF && c != ' ') {
        int64_t at = ftello(ark->file) - n - 1;
        if (n == MOST_ID_BYTES - 1 || c < ' ')
            return at == 0 && strange_file_refuse(ark->path, error) < 0
                       ? -1
                       : error_set(error, "%s is no Kaldi archive: no utterance at byte %" PRId64, ark->path,
                                   at);
        id[n++] = (char)c;
    }
    id[n] = '\0';
    if (c == EOF && n > 0)
        return strange_file_refuse(ark->path, error) < 0
                   ? -1
                   : error_set(error, "%s ends inside the name %s", ark->path, id);
    return c != EOF;
}

int ark_load(const char *path, Embeddings *embeddings, Error *error)
{
    Ark ark = {0};
    if (ark_open(&ark, path, error) < 0) {
        ark_close(&ark);
        return -1;
    }
    Rows rows = {embeddings, 0};
    char id[MOST_ID_BYTES];
    int status;
    while ((status = read_id(&ark, id, error)) == 1)
        if ((status = read_vector(&ark, id, &rows, error)) < 0)
            break;
    ark_close(&ark);
    if (status == 0 && embeddings->n == 0)
        return error_set(error, "%s holds no vectors", path);
    return status;
}

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

// The archive stays open from line to line.
static int read_scp_line(const char *path, char *line, Ark *ark, Rows *rows, Error *error)
{
    char *utt, *place;
    long long offset;
    if (parse_scp_line(path, line, &utt, &place, &offset, error) < 0)
        return -1;
    if (!ark->path || strcmp(ark->path, place) != 0) {
        ark_close(ark);
        if (ark_open(ark, place, error) < 0)
            return error_prefix(error, "%s", path);
    }
    if (fseeko(ark->file, offset, SEEK_SET) != 0)
        return error_set_errno(error, "%s: cannot go to byte %lld", ark->path, offset);
    return read_vector(ark, utt, rows, error);
}

int ark_scp_load(const char *path, Embeddings *embeddings, Error *error)
{
    char **lines;
    int64_t n;
    if (lines_load(path, &lines, &n, error) < 0)
        return -1;
    Rows rows = {embeddings, 0};
    Ark ark = {0};
    int status = n > 0 ? 0 : error_set(error, "%s is empty; expected lines `utterance archive:offset`", path);
    for (int64_t i = 0; status == 0 && i < n; i++)
        status = read_scp_line(path, lines[i], &ark, &rows, error);
    ark_close(&ark);
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
