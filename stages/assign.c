// voxloop-assign: later embeddings to the pseudo-speakers that are there, each to the nearest
// (cluster/assign.h). Nothing is clustered and no number changes.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/label_shard.h"
#include "cache/label_space.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/publish.h"
#include "cache/up_to_date.h"
#include "cluster/assign.h"
#include "report/json_number.h"

typedef struct Settings {
    const char *embeddings, *list, *labels, *out, *report;
} Settings;

typedef struct Assignment {
    Embeddings embeddings;
    LabelSpace space;
    int64_t *nearest; // [n] row of the centroids
    float *cosines;   // [n]
    int64_t n_used;   // pseudo-speakers that got somebody
} Assignment;

static void release(Assignment *a)
{
    embeddings_release(&a->embeddings);
    label_space_release(&a->space);
    mem_free(a->nearest);
    mem_free(a->cosines);
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void count_used(Assignment *a)
{
    bool *used = mem_zero((size_t)a->space.n_clusters, sizeof(bool));
    for (int64_t i = 0; i < a->embeddings.n; i++) {
        a->n_used += !used[a->nearest[i]];
        used[a->nearest[i]] = true;
    }
    mem_free(used);
}

// The shard of --labels, with other utterances.
static int publish_labels(const char *path, const Assignment *a, Error *error)
{
    const Embeddings *e = &a->embeddings;
    int64_t *ids = mem_alloc((size_t)e->n, sizeof(int64_t));
    for (int64_t i = 0; i < e->n; i++)
        ids[i] = a->space.ids[a->nearest[i]];
    LabelShard labels = {.utts = e->utts,
                         .ids = ids,
                         .n = e->n,
                         .centroids = a->space.centroids,
                         .n_clusters = a->space.n_clusters,
                         .dim = a->space.dim,
                         .mean = a->space.mean,
                         .directions = a->space.directions,
                         .input_dim = a->space.input_dim};
    int status = label_shard_publish(path, &labels, error);
    mem_free(ids);
    return status;
}

// How near the utterances are: one that is far from everybody is probably of a speaker who is not there.
static int publish_report(const char *path, const Assignment *a, Error *error)
{
    int64_t n = a->embeddings.n;
    float *sorted = mem_alloc((size_t)n, sizeof(float));
    double sum = 0;
    memcpy(sorted, a->cosines, (size_t)n * sizeof(float));
    qsort(sorted, (size_t)n, sizeof(float), compare_floats);
    for (int64_t i = 0; i < n; i++)
        sum += sorted[i];
    cJSON *json = cJSON_CreateObject();
    json_add_number(json, "utterances", (double)n);
    json_add_number(json, "clusters", (double)a->space.n_clusters);
    json_add_number(json, "clusters_used", (double)a->n_used);
    json_add_number(json, "cosine_mean", sum / (double)n);
    json_add_number(json, "cosine_lowest", sorted[0]);
    json_add_number(json, "cosine_median", sorted[n / 2]);
    log_info("cosine with the nearest centroid: mean %.3f, median %.3f, lowest %.3f", sum / (double)n,
             sorted[n / 2], sorted[0]);
    char *text = cJSON_Print(json);
    int status = publish_text(path, text, error);
    cJSON_free(text);
    cJSON_Delete(json);
    mem_free(sorted);
    return status;
}

static int run(const Program *program, const Settings *s, Assignment *a, Error *error)
{
    if (embeddings_load(s->embeddings, s->list, &a->embeddings, error) < 0 ||
        label_space_load(s->labels, &a->space, error) < 0)
        return -1;
    a->nearest = mem_alloc((size_t)a->embeddings.n, sizeof(int64_t));
    a->cosines = mem_alloc((size_t)a->embeddings.n, sizeof(float));
    if (assign_to_clusters(&a->space, s->embeddings, &a->embeddings, a->nearest, a->cosines, error) < 0)
        return -1;
    count_used(a);
    if (publish_labels(s->out, a, error) < 0 || publish_report(s->report, a, error) < 0)
        return -1;
    return provenance_publish(program, s->out, error);
}

int main(int argc, char **argv)
{
    Settings s = {0};
    const Option options[] = {
        option_required(option_input("embeddings", &s.embeddings, "FILE",
                                     "embeddings to label: shard, .npy, Kaldi .ark or .scp")),
        option_input("list", &s.list, "FILE", "utterances of a .npy (default: the list beside it)"),
        option_required(option_input("labels", &s.labels, "FILE",
                                     "label shard of voxloop-cluster, from embeddings of the same model")),
        option_required(option_output("out", &s.out, "FILE", "label shard of the embeddings' utterances")),
        option_required(
            option_output("report", &s.report, "FILE", "JSON: how near they are to their pseudo-speakers")),
        {0}};
    Program program = {.name = "assign",
                       .summary =
                           "Gives later utterances the pseudo-speakers that are there, each the nearest.",
                       .usage = "[options] --embeddings FILE --labels FILE --out FILE --report FILE"};
    program_begin(&program, options, argc, argv);
    if (up_to_date(&program, s.out))
        return 0;
    outputs_check(&program, NULL);
    Error error = {0};
    Assignment a = {0};
    int status = run(&program, &s, &a, &error);
    int64_t n = a.embeddings.n, n_used = a.n_used, n_clusters = a.space.n_clusters;
    release(&a);
    if (status < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%" PRId64 " utterances to %" PRId64 " of %" PRId64 " pseudo-speakers", n,
                        n_used, n_clusters);
}
