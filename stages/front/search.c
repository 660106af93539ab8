// voxloop search: recordings ranked by their likeness to one.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/embeddings.h"
#include "front.h"
#include "score/cosine.h"
#include "tensor/gemm.h"

typedef struct Settings {
    const char *model, *list;
    int64_t top;
    Table table;
} Settings;

typedef struct Hit {
    const char *name;
    double score;
} Hit;

static int compare_hits(const void *a, const void *b)
{
    const Hit *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score ? 1 : -1) : strcmp(x->name, y->name);
}

static bool is_embeddings(const char *path)
{
    static const char *const ENDINGS[] = {".npy", ".ark", ".scp", ".tar.zst"};
    size_t length = strlen(path);
    for (int i = 0; i < 4; i++) {
        size_t n = strlen(ENDINGS[i]);
        if (length > n && strcmp(path + length - n, ENDINGS[i]) == 0)
            return true;
    }
    return false;
}

// What is searched: embeddings made before, or recordings that are embedded now. Rows get length 1.
static int load_place(const Settings *s, const char *place, Embedder *embedder, Embeddings *e, Error *error)
{
    if (!is_embeddings(place)) {
        Recordings r;
        if (recordings_find(&place, 1, &r, error) < 0)
            return -1;
        float *rows = recordings_embed(&r, embedder, error);
        *e = (Embeddings){.matrix = rows, .utts = r.names, .n = r.n, .dim = embedder_dim(embedder)};
        strings_free(r.paths, r.n);
        return rows ? 0 : -1;
    }
    if (embeddings_load(place, s->list, e, error) < 0)
        return -1;
    if (e->dim != embedder_dim(embedder))
        return error_set(
            error, "%s holds embeddings of %lld dimensions, the model gives %lld; they are of another model",
            place, (long long)e->dim, (long long)embedder_dim(embedder));
    int64_t bad = rows_normalise(e->matrix, e->n, e->dim);
    return bad < 0 ? 0
                   : error_set(error, "%s: the embedding of %s is zero or not finite", place, e->utts[bad]);
}

static void rank(Settings *s, const Embeddings *e, const float *query)
{
    float *scores = mem_alloc((size_t)e->n + 1, sizeof(float));
    Hit *hits = mem_alloc((size_t)e->n + 1, sizeof *hits);
    gemm(false, true, e->n, 1, e->dim, 1, e->matrix, e->dim, query, e->dim, 0, scores, 1);
    for (int64_t i = 0; i < e->n; i++)
        hits[i] = (Hit){e->utts[i], scores[i]};
    qsort(hits, (size_t)e->n, sizeof *hits, compare_hits);
    for (int64_t i = 0; i < e->n && (s->top == 0 || i < s->top); i++) {
        const Field fields[] = {{"rank", FIELD_NUMBER, NULL, (double)(i + 1), 0},
                                {"cosine", FIELD_NUMBER, NULL, hits[i].score, 5},
                                {"recording", FIELD_TEXT, hits[i].name, 0, 0}};
        table_row(&s->table, fields, 3);
    }
    mem_free(hits);
    mem_free(scores);
}

static int run(const Program *program, Settings *s, Error *error)
{
    Recordings query = {0};
    Embeddings place = {0};
    Embedder *embedder = front_open_model(s->model, error);
    if (!embedder)
        return -1;
    float *row = NULL;
    int status = recordings_find(program->files, 1, &query, error);
    if (status == 0 && query.n != 1)
        status = error_set(error, "%s: one recording is searched for, and this names %lld", program->files[0],
                           (long long)query.n);
    if (status == 0)
        status = (row = recordings_embed(&query, embedder, error))
                     ? load_place(s, program->files[1], embedder, &place, error)
                     : -1;
    if (status == 0)
        rank(s, &place, row);
    mem_free(row);
    recordings_release(&query);
    embeddings_release(&place);
    embedder_close(embedder);
    return status;
}

int verb_search(int argc, char **argv)
{
    Settings s = {.top = 10};
    const Option options[] = {
        front_model_option(&s.model),
        option_integer("top", &s.top, 0, 1e12, "how many are printed; 0: all"),
        option_input("list", &s.list, "FILE", "names of the rows, where embeddings in .npy are searched"),
        option_flag("json", &s.table.json, "print JSON objects, one a line, instead of text"),
        option_flag("csv", &s.table.csv, "print CSV with a header instead of text"),
        {0}};
    Program program = {
        .name = "search",
        .is_verb = true,
        .quiet = true,
        .summary = "Ranks recordings by the likeness of their voices to that of one.",
        .usage = "--model FILE RECORDING FOLDER|EMBEDDINGS",
        .details =
            "EMBEDDINGS are what `voxloop embed --out` made of a folder with the same model: searching them "
            "again embeds nothing again. A line for each: rank, cosine, recording.",
        .operands = "RECORDING PLACE"};
    program_begin(&program, options, argc, argv);
    if (program.n_files != 2)
        program_misuse(&program, "a recording and a place to search are needed");
    Error error = {0};
    return run(&program, &s, &error) < 0 ? program_fail(&program, &error) : 0;
}
