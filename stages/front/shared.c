// What the verbs share: front.h.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "audio/sources.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/text.h"
#include "front.h"
#include "score/cosine.h"

Option front_model_option(const char **path)
{
    if (!*path)
        *path = getenv("VOXLOOP_MODEL");
    return option_input("model", path, "FILE",
                        "checkpoint of ours or another toolkit's; default: the environment's VOXLOOP_MODEL");
}

Embedder *front_open_model(const char *path, Error *error)
{
    if (path && *path)
        return embedder_open(path, error);
    error_set(error, "no model: give --model FILE, or set VOXLOOP_MODEL (a finished round's is "
                     "WORK/iterN/model.safetensors)");
    return NULL;
}

// --- recordings

static void add(Recordings *r, const char *name, const char *path)
{
    r->names = mem_grow(r->names, (size_t)r->n + 1, sizeof(char *));
    r->paths = mem_grow(r->paths, (size_t)r->n + 1, sizeof(char *));
    r->names[r->n] = mem_strdup(name);
    r->paths[r->n++] = mem_strdup(path);
}

static int add_folder(Recordings *r, const char *folder, Error *error)
{
    AudioSources sources = {0};
    if (audio_sources_find(folder, NULL, &sources, error) < 0)
        return -1;
    for (int64_t i = 0; i < sources.n; i++)
        add(r, sources.utts[i], sources.paths[i]);
    audio_sources_release(&sources);
    return 0;
}

static int add_list(Recordings *r, Error *error)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    int64_t before = r->n;
    while ((length = getline(&line, &size, stdin)) > 0) {
        line[strcspn(line, "\r\n")] = 0;
        if (*line)
            add(r, line, line);
    }
    free(line);
    return r->n > before
               ? 0
               : error_set(error, "standard input lists no recordings; it should have one path a line");
}

int recordings_find(const char *const *operands, int64_t n, Recordings *r, Error *error)
{
    int status = 0;
    *r = (Recordings){0};
    for (int64_t i = 0; status == 0 && i < n; i++) {
        if (strcmp(operands[i], "-") == 0)
            status = add_list(r, error);
        else if (folder_exists(operands[i]))
            status = add_folder(r, operands[i], error);
        else
            add(r, operands[i], operands[i]);
    }
    for (int64_t i = 0; status == 0 && i < r->n; i++)
        if (!file_exists(r->paths[i]))
            status = error_set(error, "%s: there is no such recording", r->paths[i]);
    if (status < 0)
        recordings_release(r);
    return status;
}

void recordings_release(Recordings *r)
{
    strings_free(r->names, r->n);
    strings_free(r->paths, r->n);
    *r = (Recordings){0};
}

float *recordings_embed(const Recordings *r, Embedder *embedder, Error *error)
{
    int64_t dim = embedder_dim(embedder);
    float *rows = mem_try_alloc((size_t)r->n, (size_t)dim * sizeof(float), "the embeddings", error);
    if (!rows)
        return NULL;
    int status = embedder_run_files(embedder, r->paths, r->n, rows, error);
    int64_t bad = status == 0 ? rows_normalise(rows, r->n, dim) : -1;
    if (bad >= 0)
        status = error_set(error, "%s: its embedding is zero", r->paths[bad]);
    if (status == 0)
        return rows;
    mem_free(rows);
    return NULL;
}

// --- results

static void print_csv(const Field *field)
{
    if (field->kind == FIELD_NUMBER) {
        if (isfinite(field->number))
            printf("%.*f", field->digits, field->number);
        return;
    }
    if (!strpbrk(field->text, ",\"\r\n")) {
        fputs(field->text, stdout);
        return;
    }
    putchar('"');
    for (const char *c = field->text; *c; c++) {
        if (*c == '"')
            putchar('"');
        putchar(*c);
    }
    putchar('"');
}

static void print_json(const Field *fields, int n)
{
    cJSON *row = cJSON_CreateObject();
    for (int i = 0; i < n; i++) {
        if (fields[i].kind == FIELD_TEXT)
            cJSON_AddStringToObject(row, fields[i].name, fields[i].text);
        else if (isfinite(fields[i].number))
            cJSON_AddNumberToObject(row, fields[i].name, fields[i].number);
        else
            cJSON_AddNullToObject(row, fields[i].name);
    }
    char *text = cJSON_PrintUnformatted(row);
    puts(text ? text : "null");
    cJSON_free(text);
    cJSON_Delete(row);
}

static void print_visible(const char *text, const char *gap)
{
    char *visible = text_visible(text);
    printf("%s%s", visible, gap);
    mem_free(visible);
}

static void print_text(const Field *fields, int n)
{
    for (int i = 0; i < n; i++) {
        const char *gap = i + 1 < n ? "\t" : "\n";
        if (fields[i].kind == FIELD_TEXT)
            print_visible(fields[i].text, gap);
        else if (isfinite(fields[i].number))
            printf("%.*f%s", fields[i].digits, fields[i].number, gap);
        else
            printf("-%s", gap);
    }
}

void table_row(Table *table, const Field *fields, int n)
{
    if (table->json) {
        print_json(fields, n);
        return;
    }
    if (!table->csv) {
        print_text(fields, n);
        return;
    }
    for (int i = 0; i < n && !table->begun; i++)
        printf("%s%s", fields[i].name, i + 1 < n ? "," : "\n");
    table->begun = true;
    for (int i = 0; i < n; i++) {
        print_csv(&fields[i]);
        putchar(i + 1 < n ? ',' : '\n');
    }
}
