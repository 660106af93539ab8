// voxloop-cluster: embeddings to pseudo-speakers (cluster/clustering.h), numbered as in the round before, and
// a report that says how far to trust them.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/label_shard.h"
#include "cache/lists.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/up_to_date.h"
#include "cluster/clustering.h"
#include "cluster/kmeans.h"
#include "cluster/quality.h"
#include "cluster/stable_labels.h"
#include "report/cluster_summary.h"
#include "score/cosine.h"

enum { PLAN_DIM = 256 }; // of the embeddings that --plan counts with

typedef struct Settings {
    const char *embeddings, *list, *out, *report, *previous, *truth;
    ClusteringOptions clustering;
    int64_t plan;
} Settings;

typedef struct Labelled {
    Clustering clustering;
    int64_t *ids;         // [n_clusters] numbers in the label list
    double agreement_nmi; // with the previous round; NAN without one
    double agreement_ari;
    Agreement truth;
    int64_t n_known; // utterances that the truth speaks of
} Labelled;

// --- the previous round and the truth

static int number_clusters(const Settings *settings, Labelled *l, Error *error)
{
    LabelList list = {0};
    if (settings->previous && label_shard_load(settings->previous, &list, error) < 0)
        return -1;
    int64_t n = l->clustering.embeddings.n, n_shared = 0;
    int64_t *previous = mem_alloc((size_t)n, sizeof(int64_t));
    int64_t *before = mem_alloc((size_t)n, sizeof(int64_t)), *now = mem_alloc((size_t)n, sizeof(int64_t));
    int64_t *used = mem_alloc((size_t)list.n_labels + 1, sizeof(int64_t));
    for (int64_t k = 0; k < list.n_labels; k++)
        used[k] = label_shard_number(list.names[k]);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = list.n ? labels_find(&list, l->clustering.embeddings.utts[i]) : -1;
        previous[i] = at < 0 ? -1 : used[list.labels[at]];
        if (at >= 0) {
            before[n_shared] = list.labels[at];
            now[n_shared++] = l->clustering.labels[i];
        }
    }
    l->ids = mem_alloc((size_t)l->clustering.n_clusters, sizeof(int64_t));
    int64_t kept = stable_label_ids(l->clustering.labels, previous, n, l->clustering.n_clusters, used,
                                    list.n_labels, l->ids);
    if (settings->previous && n_shared > 0) {
        Agreement agreement;
        agreement_measure(before, now, n_shared, &agreement);
        l->agreement_nmi = agreement.nmi;
        l->agreement_ari = agreement.ari;
        log_info("previous round: %lld clusters, %lld numbers kept; agreement NMI %.4f, ARI %.4f over %lld "
                 "utterances",
                 (long long)list.n_labels, (long long)kept, agreement.nmi, agreement.ari,
                 (long long)n_shared);
    }
    mem_free(previous);
    mem_free(before);
    mem_free(now);
    mem_free(used);
    labels_release(&list);
    return 0;
}

// -1: the truth does not speak of it.
static int load_truth(const char *path, const Embeddings *e, int64_t *classes, Error *error)
{
    LabelList list;
    const char *form;
    if (labels_load(path, e->utts, e->n, &list, &form, error) < 0)
        return -1;
    int64_t n_covered = labels_cover(&list, e->utts, e->n, classes);
    log_info("truth: %lld labels, form %s; it covers %lld of %lld utterances", (long long)list.n_labels, form,
             (long long)n_covered, (long long)e->n);
    labels_release(&list);
    return n_covered > 0
               ? 0
               : error_set(error, "%s speaks of none of the %lld utterances", path, (long long)e->n);
}

// --- outputs

static int compare_ids(const void *a, const void *b, void *ids)
{
    const int64_t *all = ids;
    int64_t x = all[*(const int64_t *)a], y = all[*(const int64_t *)b];
    return (x > y) - (x < y);
}

// Mean of each cluster over the rows as clustered (whitened where they were), of length 1, by cluster number.
static float *cluster_means(const Labelled *l)
{
    const Embeddings *e = &l->clustering.embeddings;
    float *means = mem_zero((size_t)l->clustering.n_clusters, (size_t)e->dim * sizeof(float));
    int64_t *order = mem_alloc((size_t)l->clustering.n_clusters, sizeof(int64_t)); // clusters by number
    int64_t *row_of = mem_alloc((size_t)l->clustering.n_clusters, sizeof(int64_t));
    for (int64_t k = 0; k < l->clustering.n_clusters; k++)
        order[k] = k;
    qsort_r(order, (size_t)l->clustering.n_clusters, sizeof(int64_t), compare_ids, l->ids);
    for (int64_t r = 0; r < l->clustering.n_clusters; r++)
        row_of[order[r]] = r;
    for (int64_t i = 0; i < e->n; i++)
        for (int64_t d = 0; d < e->dim; d++)
            means[row_of[l->clustering.labels[i]] * e->dim + d] += e->matrix[i * e->dim + d];
    rows_normalise(means, l->clustering.n_clusters, e->dim); // a cluster whose mean is exactly zero keeps it
    mem_free(row_of);
    mem_free(order);
    return means;
}

// scipy's rows [n_points - 1, 4] as float32: node numbers are exact below 2^24, far above what can be
// agglomerated.
static float *merge_rows(const Dendrogram *dendrogram)
{
    int64_t n = dendrogram->n_points - 1;
    float *rows = mem_alloc((size_t)n + 1, 4 * sizeof(float));
    for (int64_t m = 0; m < n; m++) {
        const Merge *merge = &dendrogram->merges[m];
        float row[4] = {(float)merge->first, (float)merge->second, (float)merge->height, (float)merge->size};
        memcpy(rows + 4 * m, row, sizeof row);
    }
    return rows;
}

static int publish_labels(const char *path, const Labelled *l, Error *error)
{
    const Embeddings *e = &l->clustering.embeddings;
    int64_t *ids = mem_alloc((size_t)e->n, sizeof(int64_t));
    for (int64_t i = 0; i < e->n; i++)
        ids[i] = l->ids[l->clustering.labels[i]];
    float *means = cluster_means(l), *merges = merge_rows(&l->clustering.dendrogram);
    LabelShard labels = {.utts = e->utts,
                         .ids = ids,
                         .n = e->n,
                         .centroids = means,
                         .n_clusters = l->clustering.n_clusters,
                         .dim = e->dim,
                         .merges = merges,
                         .n_merges = l->clustering.dendrogram.n_points - 1,
                         .mean = l->clustering.mean,
                         .directions = l->clustering.directions,
                         .input_dim = l->clustering.input_dim};
    int status = label_shard_publish(path, &labels, error);
    mem_free(merges);
    mem_free(means);
    mem_free(ids);
    return status;
}

static int publish_summary(const Settings *settings, const Labelled *l, Error *error)
{
    const Embeddings *e = &l->clustering.embeddings;
    ClusterSummary summary = {.n_utts = e->n,
                              .n_points = l->clustering.n_points,
                              .n_clusters = l->clustering.n_clusters,
                              .n_small = l->clustering.n_small,
                              .n_dropped = l->clustering.n_dropped,
                              .labels = l->clustering.labels,
                              .linkage = settings->clustering.linkage,
                              .agreement_nmi = l->agreement_nmi,
                              .agreement_ari = l->agreement_ari,
                              .n_known = l->n_known,
                              .truth = l->n_known ? &l->truth : NULL,
                              .sweep = &l->clustering.sweep};
    if (silhouette_measure(e->matrix, e->n, e->dim, l->clustering.labels, l->clustering.n_clusters,
                           SILHOUETTE_ROWS, &summary.silhouette, error) < 0)
        return -1;
    return cluster_summary_publish(settings->report, &summary, error);
}

// --- the stage

static void plan(const Settings *s)
{
    const ClusteringOptions *o = &s->clustering;
    int64_t n = s->plan, n_centroids = clustering_points(o, n);
    char rows[32], means[32], merging[32];
    log_info("plan: %lld embeddings of %d dimensions: %s", (long long)n, PLAN_DIM,
             log_bytes(rows, (double)n * PLAN_DIM * sizeof(float)));
    if (n_centroids < n)
        log_info("plan: k-means to %lld centroids: %s, %.3g FLOP", (long long)n_centroids,
                 log_bytes(means, kmeans_bytes(n, PLAN_DIM, n_centroids)),
                 2.0 * PLAN_DIM * (double)n * (double)n_centroids * (double)(o->iterations * o->redo));
    log_info("plan: agglomeration of %lld points: %s", (long long)n_centroids,
             log_bytes(merging, agglomerate_bytes(n_centroids, PLAN_DIM)));
}

// Options that contradict each other. --center alone takes the place of whitening.
static void check_settings(const Program *program, Settings *s)
{
    ClusteringOptions *o = &s->clustering;
    char *end;
    bool by_threshold = !isnan(o->threshold_distance) || !isnan(o->threshold_similarity);
    long long count = strtoll(o->clusters, &end, 10);
    if (strcmp(o->clusters, "auto") != 0 && (*end || count < 1))
        program_misuse(program, "--clusters is a count or `auto`, not `%s`", o->clusters);
    if (!isnan(o->threshold_similarity) && strcmp(o->linkage, "average") != 0)
        program_misuse(program, "--threshold-similarity (a cosine) needs --linkage average");
    if (!isnan(o->threshold_similarity) && !isnan(o->threshold_distance))
        program_misuse(program, "--threshold-distance and --threshold-similarity exclude each other");
    if (by_threshold && strcmp(o->clusters, "auto") != 0)
        program_misuse(program, "--clusters %s and a threshold exclude each other", o->clusters);
    if (o->center && o->whiten > 0 && program_given(program, &o->whiten))
        program_misuse(program, "--center and --whiten exclude each other");
    if (o->center)
        o->whiten = 0;
    if (s->list && !embeddings_take_list(s->embeddings))
        program_misuse(program, "--list names the rows of a .npy, and %s is none", s->embeddings);
}

static int label(const Program *program, const Settings *s, Labelled *l, int64_t *classes, Error *error)
{
    if ((s->truth && load_truth(s->truth, &l->clustering.embeddings, classes, error) < 0) ||
        cluster_embeddings(&s->clustering, &l->clustering, classes, error) < 0 ||
        number_clusters(s, l, error) < 0)
        return -1;
    if (s->truth)
        l->n_known =
            agreement_measure_known(classes, l->clustering.labels, l->clustering.embeddings.n, &l->truth);
    if (publish_labels(s->out, l, error) < 0 || publish_summary(s, l, error) < 0)
        return -1;
    return provenance_publish(program, s->out, error);
}

static int run(const Program *program, Settings *s, Labelled *l, Error *error)
{
    if (embeddings_load(s->embeddings, s->list, &l->clustering.embeddings, error) < 0)
        return -1;
    s->clustering.name = s->embeddings;
    s->clustering.seed = program->seed;
    int64_t *classes = mem_zero((size_t)l->clustering.embeddings.n + 1, sizeof(int64_t));
    int status = label(program, s, l, classes, error);
    mem_free(classes);
    return status;
}

int main(int argc, char **argv)
{
    Settings s = {.clustering = clustering_defaults()};
    ClusteringOptions *c = &s.clustering;
    const Option options[] = {
        option_required(
            option_input("embeddings", &s.embeddings, "FILE", "embeddings: shard, .npy, Kaldi .ark or .scp")),
        option_input("list", &s.list, "FILE", "utterances of x.npy (default: x.utts.txt beside it)"),
        option_required(option_output("out", &s.out, "FILE", "label shard that is made")),
        option_required(option_output("report", &s.report, "FILE", "measures as JSON (clusters.json)")),
        option_input("previous", &s.previous, "FILE",
                     "label shard of the round before, whose numbers are kept"),
        option_input("truth", &s.truth, "FILE", "true speakers (utt2spk), for the report only"),
        option_text("clusters", &c->clusters, "N|auto", "how many pseudo-speakers"),
        option_real("threshold-distance", &c->threshold_distance, 0, INFINITY,
                    "instead of --clusters: merge up to this linkage distance"),
        option_real("threshold-similarity", &c->threshold_similarity, -1, 1,
                    "instead of --clusters, with average linkage: merge down to this mean cosine"),
        option_choice("linkage", &c->linkage, "ward|average",
                      "distance of clusters: Ward's, or average cosine distance"),
        option_integer(
            "centroids", &c->centroids, 0, 1e9,
            "k-means centroids to agglomerate; 0: 50 000, or every utterance where there are fewer"),
        option_integer("stability-points", &c->stability_points, 0, 1e9,
                       "with --clusters auto, up to so many points, clusters of random parts are compared "
                       "with each other"),
        option_integer("iterations", &c->iterations, 1, 10000, "k-means iterations"),
        option_integer("redo", &c->redo, 1, 100, "k-means starts; the best is kept"),
        option_flag("weighted", &c->weighted, "centroids count as many as they stand for"),
        option_integer("whiten", &c->whiten, 0, 1e6,
                       "whiten, keeping N principal directions at most; 0: do not"),
        option_flag("center", &c->center, "instead of whitening, subtract the mean embedding"),
        option_integer("min-size", &c->min_size, 1, 1e9,
                       "utterances that a cluster must have; those of smaller clusters get no label"),
        option_neutral(option_integer("plan", &s.plan, 0, 1e12,
                                      "only say what so many utterances would take; no file is looked at")),
        {0}};
    Program program = {.name = "cluster",
                       .summary = "Groups embeddings into pseudo-speakers.",
                       .usage = "[options] --embeddings FILE --out FILE --report FILE"};
    program_begin(&program, options, argc, argv);
    check_settings(&program, &s);
    if (up_to_date(&program, s.plan ? NULL : s.out))
        return 0;
    if (s.plan) {
        plan(&s);
        return program_done(&program, "a plan for %lld utterances", (long long)s.plan);
    }
    outputs_check(&program, NULL);
    Error error = {0};
    Labelled l = {.agreement_nmi = NAN, .agreement_ari = NAN};
    int status = run(&program, &s, &l, &error);
    int64_t n = l.clustering.embeddings.n, n_clusters = l.clustering.n_clusters;
    clustering_release(&l.clustering);
    mem_free(l.ids);
    if (status < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%lld utterances in %lld clusters", (long long)n, (long long)n_clusters);
}
