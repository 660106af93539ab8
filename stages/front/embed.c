// voxloop embed: one embedding a recording.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cache/embeddings.h"
#include "cache/kaldi_ark.h"
#include "cache/outputs.h"
#include "front.h"

typedef struct Settings {
    const char *model, *out, *format;
} Settings;

// Kaldi's text form: `name  [ v v ... ]`, digits that give the same float back.
static void print_text(const Recordings *r, const float *rows, int64_t dim)
{
    for (int64_t i = 0; i < r->n; i++) {
        char *name = text_visible(r->names[i]);
        printf("%s  [", name);
        mem_free(name);
        for (int64_t d = 0; d < dim; d++)
            printf(" %.9g", (double)rows[i * dim + d]);
        printf(" ]\n");
    }
}

// Published in the C locale's order of names, as all our embeddings are.
static int publish(const Settings *s, const Recordings *r, const float *rows, int64_t dim, Error *error)
{
    Embeddings e = {.n = r->n, .dim = dim};
    int64_t *order = mem_alloc((size_t)r->n, sizeof(int64_t));
    for (int64_t i = 0; i < r->n; i++) {
        int64_t at = i;
        for (; at > 0 && strcmp(r->names[order[at - 1]], r->names[i]) > 0; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    e.utts = mem_alloc((size_t)r->n, sizeof(char *));
    e.matrix = mem_alloc((size_t)(r->n * dim), sizeof(float));
    int status = 0;
    for (int64_t i = 0; i < r->n; i++) {
        e.utts[i] = r->names[order[i]];
        memcpy(e.matrix + i * dim, rows + order[i] * dim, (size_t)dim * sizeof(float));
        if (status == 0 && i > 0 && strcmp(e.utts[i], e.utts[i - 1]) == 0)
            status = error_set(error, "%s is given twice; name it once", e.utts[i]);
    }
    if (status == 0)
        status = strcmp(s->format, "npy") == 0   ? embeddings_publish_npy(s->out, &e, error)
                 : strcmp(s->format, "ark") == 0 ? ark_publish(s->out, &e, error)
                                                 : embeddings_publish_shard(s->out, &e, error);
    mem_free(e.matrix);
    mem_free(e.utts);
    mem_free(order);
    return status;
}

static int run(const Program *program, const Settings *s, Error *error)
{
    Recordings r = {0};
    Embedder *embedder = front_open_model(s->model, error);
    float *rows = NULL;
    int status = embedder ? recordings_find(program->files, program->n_files, &r, error) : -1;
    int64_t dim = embedder ? embedder_dim(embedder) : 0;
    if (status == 0) {
        rows = mem_try_alloc((size_t)r.n, (size_t)dim * sizeof(float), "the embeddings", error);
        status = rows ? embedder_run_files(embedder, r.paths, r.n, rows, error) : -1;
    }
    if (status == 0 && s->out)
        status = publish(s, &r, rows, dim, error);
    else if (status == 0)
        print_text(&r, rows, dim);
    mem_free(rows);
    recordings_release(&r);
    embedder_close(embedder);
    return status;
}

int verb_embed(int argc, char **argv)
{
    Settings s = {.format = "npy"};
    const Option options[] = {
        front_model_option(&s.model),
        option_output("out", &s.out, "FILE", "embeddings as a file; without it they are printed as text"),
        option_choice("format", &s.format, "npy|ark|shard", "format of the file that --out names"),
        {0}};
    Program program = {.name = "embed",
                       .is_verb = true,
                       .quiet = true,
                       .summary = "Computes the embeddings of recordings.",
                       .usage = "--model FILE RECORDING|FOLDER|-...",
                       .details =
                           "Text has a line for each recording, as Kaldi prints vectors: NAME  [ v v ... ].",
                       .operands = "RECORDING..."};
    program_begin(&program, options, argc, argv);
    outputs_check(&program, NULL);
    if (program.n_files == 0)
        program_misuse(&program, "which recordings? --help says how to name them");
    Error error = {0};
    return run(&program, &s, &error) < 0 ? program_fail(&program, &error) : 0;
}
