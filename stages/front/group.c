// voxloop group: recordings into groups of one voice each.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/outputs.h"
#include "cluster/clustering.h"
#include "front.h"

typedef struct Settings {
    const char *model, *links;
    double threshold; // NAN: by evidence
    ClusteringOptions clustering;
    Table table;
} Settings;

typedef struct Member {
    const char *name, *path;
    int64_t group; // numbered from the largest
} Member;

static int compare_members(const void *a, const void *b)
{
    const Member *x = a, *y = b;
    return x->group != y->group ? (x->group > y->group) - (x->group < y->group) : strcmp(x->name, y->name);
}

static int compare_by_count(const void *a, const void *b, void *counts)
{
    const int64_t *all = counts, x = *(const int64_t *)a, y = *(const int64_t *)b;
    return all[x] != all[y] ? (all[x] < all[y] ? 1 : -1) : (x > y) - (x < y);
}

// Groups by size, the largest first; rows by group and name.
static Member *sort_members(const Recordings *r, const Clustering *c)
{
    Member *members = mem_alloc((size_t)r->n, sizeof *members);
    int64_t *counts = mem_zero((size_t)c->n_clusters, sizeof(int64_t)),
            *order = mem_alloc((size_t)c->n_clusters, sizeof(int64_t)),
            *rank = mem_alloc((size_t)c->n_clusters, sizeof(int64_t));
    for (int64_t i = 0; i < r->n; i++)
        counts[c->labels[i]]++;
    for (int64_t k = 0; k < c->n_clusters; k++)
        order[k] = k;
    qsort_r(order, (size_t)c->n_clusters, sizeof(int64_t), compare_by_count, counts);
    for (int64_t k = 0; k < c->n_clusters; k++)
        rank[order[k]] = k;
    for (int64_t i = 0; i < r->n; i++)
        members[i] = (Member){r->names[i], r->paths[i], rank[c->labels[i]]};
    qsort(members, (size_t)r->n, sizeof *members, compare_members);
    mem_free(rank);
    mem_free(order);
    mem_free(counts);
    return members;
}

static void group_name(int64_t group, char name[32])
{
    snprintf(name, 32, "voice-%03lld", (long long)group + 1);
}

// FOLDER/voice-001/0001-NAME -> the recording; a name's slashes become dashes.
static int link_member(const char *folder, const Member *member, int64_t number, Error *error)
{
    char group[32];
    group_name(member->group, group);
    char *inside = path_join(folder, group), *target = realpath(member->path, NULL);
    char *name = mem_printf("%04lld-%s", (long long)number, member->name);
    for (char *c = name; *c; c++)
        if (*c == '/')
            *c = '-';
    char *link = path_join(inside, name);
    int status = folder_create(inside, error);
    if (status == 0 && (!target || symlink(target, link) != 0))
        status = error_set_errno(error, "cannot link %s", link);
    free(target);
    mem_free(link);
    mem_free(name);
    mem_free(inside);
    return status;
}

static int link_all(const char *folder, const Member *members, int64_t n, Error *error)
{
    if (file_exists(folder) || folder_exists(folder))
        return error_set(error, "%s is there already; name a new folder for the links", folder);
    int64_t number = 0;
    for (int64_t i = 0; i < n; i++) {
        number = i > 0 && members[i].group == members[i - 1].group ? number + 1 : 1;
        if (link_member(folder, &members[i], number, error) < 0)
            return -1;
    }
    return 0;
}

static void print_all(Table *table, const Member *members, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        char group[32];
        group_name(members[i].group, group);
        const Field fields[] = {{"recording", FIELD_TEXT, members[i].name, 0, 0},
                                {"voice", FIELD_TEXT, group, 0, 0}};
        table_row(table, fields, 2);
    }
}

static int cluster(Settings *s, const Recordings *r, float *rows, int64_t dim, Clustering *c, Error *error)
{
    c->embeddings =
        (Embeddings){.matrix = rows, .n = r->n, .dim = dim, .utts = mem_alloc((size_t)r->n, sizeof(char *))};
    for (int64_t i = 0; i < r->n; i++)
        c->embeddings.utts[i] = mem_strdup(r->names[i]);
    int64_t *classes = mem_zero((size_t)r->n, sizeof(int64_t));
    int status = cluster_embeddings(&s->clustering, c, classes, error);
    mem_free(classes);
    return status;
}

static int run(const Program *program, Settings *s, Error *error)
{
    Recordings r = {0};
    Clustering c = {0};
    Embedder *embedder = front_open_model(s->model, error);
    int64_t dim = embedder ? embedder_dim(embedder) : 0;
    float *rows = NULL;
    int status = embedder ? recordings_find(program->files, program->n_files, &r, error) : -1;
    if (status == 0) {
        rows = recordings_embed(&r, embedder, error);
        status = rows ? cluster(s, &r, rows, dim, &c, error) : -1; // owns the rows
    }
    if (status == 0) {
        Member *members = sort_members(&r, &c);
        if (s->links)
            status = link_all(s->links, members, r.n, error);
        if (status == 0)
            print_all(&s->table, members, r.n);
        mem_free(members);
    }
    clustering_release(&c);
    recordings_release(&r);
    embedder_close(embedder);
    return status;
}

int verb_group(int argc, char **argv)
{
    Settings s = {.threshold = NAN, .clustering = clustering_defaults()};
    s.clustering.name = "the recordings";
    const Option options[] = {
        front_model_option(&s.model),
        option_text("voices", &s.clustering.clusters, "N|auto",
                    "how many voices there are; auto: as the recordings suggest"),
        option_real("threshold", &s.threshold, -1, 1,
                    "instead of --voices: two groups are one voice down to this mean cosine between them"),
        option_output("links", &s.links, "FOLDER", "a new folder with a folder of links for each voice"),
        option_flag("json", &s.table.json, "print JSON objects, one a line, instead of text"),
        option_flag("csv", &s.table.csv, "print CSV with a header instead of text"),
        {0}};
    Program program = {
        .name = "group",
        .is_verb = true,
        .quiet = true,
        .summary = "Puts recordings into groups of one voice each.",
        .usage = "--model FILE RECORDING|FOLDER|-...",
        .details = "A line for each recording, its name and its voice; voice-001 is the one with the most "
                   "recordings. --no-quiet shows how the number of voices was chosen.",
        .operands = "RECORDING..."};
    program_begin(&program, options, argc, argv);
    outputs_check(&program, NULL);
    if (program.n_files == 0)
        program_misuse(&program, "which recordings? --help says how to name them");
    if (!isnan(s.threshold)) {
        s.clustering.linkage = "average";
        s.clustering.threshold_similarity = s.threshold;
        s.clustering.whiten = 0; // the cosine is the model's own
    }
    s.clustering.seed = program.seed;
    Error error = {0};
    return run(&program, &s, &error) < 0 ? program_fail(&program, &error) : 0;
}
