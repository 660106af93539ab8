// voxloop-cluster: embeddings to pseudo-speakers. k-means to many centroids (FAISS), agglomeration of these,
// a cut by count, by threshold or by evidence; a report that says how far to trust it.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/embeddings.h"
#include "cache/label_shard.h"
#include "cache/lists.h"
#include "cache/provenance.h"
#include "cluster/agglomerate.h"
#include "cluster/choose_clusters.h"
#include "cluster/kmeans.h"
#include "cluster/quality.h"
#include "cluster/stable_labels.h"
#include "cluster/whiten.h"
#include "report/cluster_summary.h"
#include "score/cosine.h"

// With hardly more rows than directions whitening puts every row equally far from every other one: one
// direction for six utterances at most.
enum { UTTS_PER_DIRECTION = 6, FEWEST_DIRECTIONS = 4 };
// Up to this many utterances are agglomerated themselves; of more, this many k-means centroids, the recipe's
// number for VoxCeleb2. (Fewer centroids than that would merge speakers before agglomeration sees them.)
enum { MOST_POINTS = 50000, SILHOUETTE_ROWS = 20000 };
enum { PLAN_DIM = 256 }; // of the embeddings that --plan counts with

typedef struct Settings {
    const char *embeddings, *list, *out, *report, *clusters, *linkage, *previous, *truth;
    int64_t centroids, iterations, redo, whiten, min_size, stability_points, plan;
    double threshold_distance, threshold_similarity; // NAN: not given
    bool center, weighted;
} Settings;

typedef struct Clustering {
    Embeddings embeddings; // rows of length 1
    int64_t *point_of;     // [n] the centroid of an utterance; NULL: utterances are the points
    float *points;         // [n_points, dim]
    double *weights;       // [n_points] or NULL
    int64_t n_points;
    Dendrogram dendrogram;
    Sweep sweep;
    int64_t *labels; // [n]
    int64_t n_clusters;
    int64_t n_small, n_dropped; // clusters below --min-size, and their utterances
    int64_t *ids;               // [n_clusters] numbers in the label list
    double agreement_nmi;       // with the previous round; NAN without one
    double agreement_ari;
    Agreement truth;
    bool has_truth;
} Clustering;

// --- points to agglomerate

static int normalise(const Settings *settings, Embeddings *e, const char *when, Error *error)
{
    int64_t bad = rows_normalise(e->matrix, e->n, e->dim);
    if (bad < 0)
        return 0;
    return error_set(error, "%s: the embedding of %s is zero or not finite%s", settings->embeddings,
                     e->utts[bad], when);
}

// Rows of length 1, after centring or whitening where asked for.
static int prepare_rows(const Settings *settings, Embeddings *e, Error *error)
{
    if (e->n < 2)
        return error_set(error, "%s has %lld embeddings; clustering needs at least 2", settings->embeddings,
                         (long long)e->n);
    if (normalise(settings, e, "", error) < 0)
        return -1;
    int64_t most = e->n / UTTS_PER_DIRECTION, keep = settings->whiten < most ? settings->whiten : most;
    if (settings->whiten > 0 && keep < FEWEST_DIRECTIONS)
        log_info("whitening: left out, %lld utterances are too few", (long long)e->n);
    if (keep >= FEWEST_DIRECTIONS) {
        float *whitened;
        int64_t kept;
        if (whiten(e->matrix, e->n, e->dim, keep, &whitened, &kept, error) < 0)
            return -1;
        log_info("whitening: %lld of %lld principal directions kept", (long long)kept, (long long)e->dim);
        mem_free(e->matrix);
        e->matrix = whitened;
        e->dim = kept;
        return normalise(settings, e, " after whitening", error);
    }
    if (!settings->center)
        return 0;
    rows_subtract_mean(e->matrix, e->n, e->dim);
    return normalise(settings, e, " after centring", error);
}

static int64_t centroid_count(const Settings *settings, int64_t n)
{
    int64_t most = settings->centroids > 0 ? settings->centroids : MOST_POINTS;
    return n < most ? n : most;
}

// Drops empty centroids and renumbers, so that every point stands for somebody.
static void take_centroids(const Settings *settings, Kmeans *found, Clustering *c)
{
    int64_t dim = c->embeddings.dim, used = 0;
    int64_t *place = mem_alloc((size_t)found->n_centroids, sizeof(int64_t));
    c->weights = settings->weighted ? mem_alloc((size_t)found->n_centroids, sizeof(double)) : NULL;
    for (int64_t k = 0; k < found->n_centroids; k++) {
        place[k] = used;
        if (found->counts[k] == 0)
            continue;
        memmove(found->centroids + used * dim, found->centroids + k * dim, (size_t)dim * sizeof(float));
        if (c->weights)
            c->weights[used] = (double)found->counts[k];
        used++;
    }
    for (int64_t i = 0; i < c->embeddings.n; i++)
        found->labels[i] = place[found->labels[i]];
    mem_free(place);
    c->points = found->centroids;
    c->point_of = found->labels;
    c->n_points = used;
    found->centroids = NULL;
    found->labels = NULL;
    kmeans_release(found);
}

static int make_points(const Settings *settings, int64_t seed, Clustering *c, Error *error)
{
    const Embeddings *e = &c->embeddings;
    int64_t n_centroids = centroid_count(settings, e->n);
    char text[32];
    if (n_centroids == e->n) {
        c->points = e->matrix;
        c->n_points = e->n;
        log_info("points: the %lld utterances themselves, no k-means", (long long)e->n);
        return 0;
    }
    KmeansOptions options = kmeans_defaults(n_centroids);
    options.n_iterations = (int)settings->iterations;
    options.n_redo = (int)settings->redo;
    options.spherical = true;
    options.seed = seed;
    log_info(
        "k-means: %lld x %lld to %lld centroids, spherical, %d iterations, %d starts, every row used, seed "
        "%lld; takes %s",
        (long long)e->n, (long long)e->dim, (long long)n_centroids, options.n_iterations, options.n_redo,
        (long long)seed, log_bytes(text, kmeans_bytes(e->n, e->dim, n_centroids)));
    Kmeans found;
    if (kmeans(e->matrix, e->n, e->dim, &options, &found, error) < 0)
        return -1;
    log_info("k-means: mean cosine to the centroid %.4f, %lld empty centroids dropped",
             found.objective / (double)e->n, (long long)found.n_empty);
    take_centroids(settings, &found, c);
    return 0;
}

// --- the cut

static void print_sweep(const Sweep *sweep)
{
    log_info("   clusters  silhouette  agreement  singletons  median  largest  height   gap");
    for (int64_t i = 0; i < sweep->n_rows; i++) {
        const SweepRow *row = &sweep->rows[i];
        log_info("%c %9lld  %10.4f  %9.4f  %10lld  %6lld  %7lld  %6.4f  %4.1f%%", row->chosen ? '>' : ' ',
                 (long long)row->n_clusters, row->silhouette, row->agreement, (long long)row->singletons,
                 (long long)row->median, (long long)row->largest, row->height, 100 * row->gap);
    }
    log_info("auto: %s", sweep->reason);
}

static Linkage linkage_of(const Settings *settings)
{
    return strcmp(settings->linkage, "ward") == 0 ? LINKAGE_WARD : LINKAGE_AVERAGE;
}

static int sweep_counts(const Settings *settings, int64_t seed, Clustering *c, Error *error)
{
    const Embeddings *e = &c->embeddings;
    Stability stability = {0};
    bool measured = c->n_points <= settings->stability_points;
    if (measured && stability_begin(c->points, c->weights, c->n_points, e->dim, linkage_of(settings), seed,
                                    &stability, error) < 0)
        return -1;
    if (!measured)
        log_info(
            "agreement across parts of the points: left out, there are more than %lld (--stability-points)",
            (long long)settings->stability_points);
    int status = choose_clusters(&c->dendrogram, e->matrix, e->n, e->dim, c->point_of, SILHOUETTE_ROWS,
                                 measured ? &stability : NULL, &c->sweep, error);
    stability_release(&stability);
    return status;
}

static int choose(const Settings *settings, int64_t seed, Clustering *c, Error *error)
{
    bool by_distance = !isnan(settings->threshold_distance),
         by_similarity = !isnan(settings->threshold_similarity);
    if (by_distance || by_similarity) {
        double height = by_distance ? settings->threshold_distance : 1 - settings->threshold_similarity;
        c->n_clusters = dendrogram_count_at(&c->dendrogram, height);
        log_info("cut: %lld clusters at %s linkage distance %.4f", (long long)c->n_clusters,
                 settings->linkage, height);
        return 0;
    }
    if (strcmp(settings->clusters, "auto") != 0) {
        c->n_clusters = strtoll(settings->clusters, NULL, 10);
        if (c->n_clusters > c->n_points)
            return error_set(
                error, "%lld clusters cannot be made from %lld points; lower --clusters or raise --centroids",
                (long long)c->n_clusters, (long long)c->n_points);
        return 0;
    }
    if (sweep_counts(settings, seed, c, error) < 0)
        return -1;
    print_sweep(&c->sweep);
    c->n_clusters = c->sweep.n_clusters;
    return 0;
}

static int build_and_cut(const Settings *settings, int64_t seed, Clustering *c, Error *error)
{
    Linkage linkage = linkage_of(settings);
    char text[32];
    log_info("agglomeration: %lld points, %s linkage, %s; takes %s", (long long)c->n_points,
             settings->linkage, c->weights ? "weighted" : "unweighted",
             log_bytes(text, agglomerate_bytes(c->n_points, c->embeddings.dim)));
    if (agglomerate(c->points, c->weights, c->n_points, c->embeddings.dim, linkage, &c->dendrogram, error) <
            0 ||
        choose(settings, seed, c, error) < 0)
        return -1;
    int64_t *point_labels = mem_alloc((size_t)c->n_points, sizeof(int64_t));
    dendrogram_cut(&c->dendrogram, c->n_clusters, point_labels);
    c->labels = mem_alloc((size_t)c->embeddings.n, sizeof(int64_t));
    for (int64_t i = 0; i < c->embeddings.n; i++)
        c->labels[i] = point_labels[c->point_of ? c->point_of[i] : i];
    mem_free(point_labels);
    return 0;
}

// Forgets clusters below the least size and their utterances, as if these had had no embedding. classes [n]
// is kept in step.
static void drop_small(int64_t least, Clustering *c, int64_t *classes)
{
    Embeddings *e = &c->embeddings;
    int64_t *sizes = mem_alloc((size_t)c->n_clusters, sizeof(int64_t)), n_kept = 0, n_clusters = 0;
    cluster_sizes(c->labels, e->n, c->n_clusters, sizes);
    for (int64_t k = 0; k < c->n_clusters; k++) // from now on the new number, or -1
        sizes[k] = sizes[k] < least ? -1 : n_clusters++;
    for (int64_t i = 0; i < e->n; i++) {
        int64_t label = sizes[c->labels[i]];
        if (label < 0) {
            mem_free(e->utts[i]);
            continue;
        }
        memmove(e->matrix + n_kept * e->dim, e->matrix + i * e->dim, (size_t)e->dim * sizeof(float));
        e->utts[n_kept] = e->utts[i];
        classes[n_kept] = classes[i];
        c->labels[n_kept++] = label;
    }
    c->n_small = c->n_clusters - n_clusters;
    c->n_dropped = e->n - n_kept;
    e->n = n_kept;
    c->n_clusters = n_clusters;
    mem_free(sizes);
}

// --- the previous round and the truth

static int number_clusters(const Settings *settings, Clustering *c, Error *error)
{
    LabelList list = {0};
    if (settings->previous && label_shard_load(settings->previous, &list, error) < 0)
        return -1;
    int64_t n = c->embeddings.n, n_shared = 0;
    int64_t *previous = mem_alloc((size_t)n, sizeof(int64_t));
    int64_t *before = mem_alloc((size_t)n, sizeof(int64_t)), *now = mem_alloc((size_t)n, sizeof(int64_t));
    int64_t *used = mem_alloc((size_t)list.n_labels + 1, sizeof(int64_t));
    for (int64_t k = 0; k < list.n_labels; k++)
        used[k] = label_shard_number(list.names[k]);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = list.n ? labels_find(&list, c->embeddings.utts[i]) : -1;
        previous[i] = at < 0 ? -1 : used[list.labels[at]];
        if (at >= 0) {
            before[n_shared] = list.labels[at];
            now[n_shared++] = c->labels[i];
        }
    }
    c->ids = mem_alloc((size_t)c->n_clusters, sizeof(int64_t));
    int64_t kept = stable_label_ids(c->labels, previous, n, c->n_clusters, used, list.n_labels, c->ids);
    if (settings->previous && n_shared > 0) {
        Agreement agreement;
        agreement_measure(before, now, n_shared, &agreement);
        c->agreement_nmi = agreement.nmi;
        c->agreement_ari = agreement.ari;
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

static int load_truth(const char *path, const Embeddings *e, int64_t *classes, Error *error)
{
    LabelList list;
    const char *form;
    if (labels_load(path, e->utts, e->n, &list, &form, error) < 0)
        return -1;
    int status = labels_align(&list, path, e->utts, e->n, classes, error);
    if (status == 0)
        log_info("truth: %lld labels, form %s", (long long)list.n_labels, form);
    labels_release(&list);
    return status;
}

// --- outputs

static int compare_ids(const void *a, const void *b, void *ids)
{
    const int64_t *all = ids;
    int64_t x = all[*(const int64_t *)a], y = all[*(const int64_t *)b];
    return (x > y) - (x < y);
}

// Mean of each cluster over the rows as clustered (whitened where they were), of length 1, by cluster number.
static float *cluster_means(const Clustering *c)
{
    const Embeddings *e = &c->embeddings;
    float *means = mem_zero((size_t)c->n_clusters, (size_t)e->dim * sizeof(float));
    int64_t *order = mem_alloc((size_t)c->n_clusters, sizeof(int64_t)); // clusters by number
    int64_t *row_of = mem_alloc((size_t)c->n_clusters, sizeof(int64_t));
    for (int64_t k = 0; k < c->n_clusters; k++)
        order[k] = k;
    qsort_r(order, (size_t)c->n_clusters, sizeof(int64_t), compare_ids, c->ids);
    for (int64_t r = 0; r < c->n_clusters; r++)
        row_of[order[r]] = r;
    for (int64_t i = 0; i < e->n; i++)
        for (int64_t d = 0; d < e->dim; d++)
            means[row_of[c->labels[i]] * e->dim + d] += e->matrix[i * e->dim + d];
    rows_normalise(means, c->n_clusters, e->dim); // a cluster whose mean is exactly zero keeps it
    mem_free(row_of);
    mem_free(order);
    return means;
}

// scipy's rows [n_points - 1, 4] as float32: node numbers are exact below 2^24, far above MOST_CENTROIDS.
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

static int publish_labels(const char *path, const Clustering *c, Error *error)
{
    const Embeddings *e = &c->embeddings;
    int64_t *ids = mem_alloc((size_t)e->n, sizeof(int64_t));
    for (int64_t i = 0; i < e->n; i++)
        ids[i] = c->ids[c->labels[i]];
    float *means = cluster_means(c), *merges = merge_rows(&c->dendrogram);
    LabelShard labels = {e->utts,       ids,    e->n,   means,
                         c->n_clusters, e->dim, merges, c->dendrogram.n_points - 1};
    int status = label_shard_publish(path, &labels, error);
    mem_free(merges);
    mem_free(means);
    mem_free(ids);
    return status;
}

static int publish_summary(const Settings *settings, const Clustering *c, Error *error)
{
    const Embeddings *e = &c->embeddings;
    ClusterSummary summary = {.n_utts = e->n,
                              .n_points = c->n_points,
                              .n_clusters = c->n_clusters,
                              .n_small = c->n_small,
                              .n_dropped = c->n_dropped,
                              .labels = c->labels,
                              .linkage = settings->linkage,
                              .agreement_nmi = c->agreement_nmi,
                              .agreement_ari = c->agreement_ari,
                              .truth = c->has_truth ? &c->truth : NULL,
                              .sweep = &c->sweep};
    if (silhouette_measure(e->matrix, e->n, e->dim, c->labels, c->n_clusters, SILHOUETTE_ROWS,
                           &summary.silhouette, error) < 0)
        return -1;
    return cluster_summary_publish(settings->report, &summary, error);
}

// --- the stage

static void plan(const Settings *s)
{
    int64_t n = s->plan, n_centroids = centroid_count(s, n);
    char rows[32], means[32], merging[32];
    log_info("plan: %lld embeddings of %d dimensions: %s", (long long)n, PLAN_DIM,
             log_bytes(rows, (double)n * PLAN_DIM * sizeof(float)));
    if (n_centroids < n)
        log_info("plan: k-means to %lld centroids: %s, %.3g FLOP", (long long)n_centroids,
                 log_bytes(means, kmeans_bytes(n, PLAN_DIM, n_centroids)),
                 2.0 * PLAN_DIM * (double)n * (double)n_centroids * (double)(s->iterations * s->redo));
    log_info("plan: agglomeration of %lld points: %s", (long long)n_centroids,
             log_bytes(merging, agglomerate_bytes(n_centroids, PLAN_DIM)));
}

static void check_settings(const Program *program, const Settings *s)
{
    char *end;
    long long count = strtoll(s->clusters, &end, 10);
    if (strcmp(s->clusters, "auto") != 0 && (*end || count < 1))
        program_misuse(program, "--clusters is a count or `auto`, not `%s`", s->clusters);
    if (!isnan(s->threshold_similarity) && strcmp(s->linkage, "average") != 0)
        program_misuse(program, "--threshold-similarity (a cosine) needs --linkage average");
    if (!isnan(s->threshold_similarity) && !isnan(s->threshold_distance))
        program_misuse(program, "--threshold-distance and --threshold-similarity exclude each other");
}

static int keep_large(const Settings *s, Clustering *c, int64_t *classes, Error *error)
{
    if (s->min_size <= 1)
        return 0;
    drop_small(s->min_size, c, classes);
    if (c->n_clusters == 0)
        return error_set(error, "no cluster has %lld utterances; lower --min-size", (long long)s->min_size);
    log_info("%lld clusters with less than %lld utterances dropped; their %lld utterances get no label",
             (long long)c->n_small, (long long)s->min_size, (long long)c->n_dropped);
    return 0;
}

static int run(const Program *program, const Settings *s, Clustering *c, Error *error)
{
    if (embeddings_load(s->embeddings, s->list, &c->embeddings, error) < 0)
        return -1;
    int64_t *classes = mem_alloc((size_t)c->embeddings.n + 1, sizeof(int64_t));
    int status = s->truth ? load_truth(s->truth, &c->embeddings, classes, error) : 0;
    const char *inputs[] = {s->embeddings, s->previous ? s->previous : s->truth,
                            s->previous ? s->truth : NULL, NULL};
    if (status == 0 && prepare_rows(s, &c->embeddings, error) == 0 &&
        make_points(s, program->seed, c, error) == 0 && build_and_cut(s, program->seed, c, error) == 0 &&
        keep_large(s, c, classes, error) == 0 && number_clusters(s, c, error) == 0) {
        c->has_truth = s->truth != NULL;
        if (c->has_truth)
            agreement_measure(classes, c->labels, c->embeddings.n, &c->truth);
        status = publish_labels(s->out, c, error) < 0 ||
                         provenance_publish(program, s->out, inputs, error) < 0 ||
                         publish_summary(s, c, error) < 0
                     ? -1
                     : 0;
    } else {
        status = -1;
    }
    mem_free(classes);
    return status;
}

static void clustering_release(Clustering *c)
{
    if (c->points != c->embeddings.matrix)
        mem_free(c->points);
    mem_free(c->point_of);
    mem_free(c->weights);
    mem_free(c->labels);
    mem_free(c->ids);
    dendrogram_release(&c->dendrogram);
    sweep_release(&c->sweep);
    embeddings_release(&c->embeddings);
}

int main(int argc, char **argv)
{
    Settings s = {.clusters = "auto",
                  .linkage = "ward",
                  .iterations = 25,
                  .redo = 1,
                  .whiten = 100,
                  .min_size = 1,
                  .stability_points = 10000,
                  .threshold_distance = NAN,
                  .threshold_similarity = NAN};
    const Option options[] = {
        {"embeddings", OPTION_TEXT, &s.embeddings, 0, 0, NULL, "FILE",
         "embeddings: shard, .npy, Kaldi .ark or .scp", true},
        {"list", OPTION_TEXT, &s.list, 0, 0, NULL, "FILE",
         "utterances of a .npy (default: utts.txt beside it)", false},
        {"out", OPTION_TEXT, &s.out, 0, 0, NULL, "FILE", "label shard", true},
        {"report", OPTION_TEXT, &s.report, 0, 0, NULL, "FILE", "clusters.json", true},
        {"previous", OPTION_TEXT, &s.previous, 0, 0, NULL, "FILE", "label shard of the round before", false},
        {"truth", OPTION_TEXT, &s.truth, 0, 0, NULL, "FILE", "utt2spk, for the report only", false},
        {"clusters", OPTION_TEXT, &s.clusters, 0, 0, NULL, "N|auto", "how many pseudo-speakers", false},
        {"threshold-distance", OPTION_REAL, &s.threshold_distance, 0, 0, NULL, NULL,
         "instead: merge up to this linkage distance", false},
        {"threshold-similarity", OPTION_REAL, &s.threshold_similarity, 0, 0, NULL, NULL,
         "instead, with average linkage: merge down to this mean cosine", false},
        {"linkage", OPTION_CHOICE, &s.linkage, 0, 0, "ward|average", NULL, "ward, or average cosine distance",
         false},
        {"centroids", OPTION_INTEGER, &s.centroids, 0, 1e9, NULL, NULL,
         "k-means centroids to agglomerate; 0: 50 000, or every utterance where there are fewer", false},
        {"stability-points", OPTION_INTEGER, &s.stability_points, 0, 1e9, NULL, NULL,
         "with auto, up to so many points, clusters of random parts are compared with each other", false},
        {"iterations", OPTION_INTEGER, &s.iterations, 1, 10000, NULL, NULL, "k-means iterations", false},
        {"redo", OPTION_INTEGER, &s.redo, 1, 100, NULL, NULL, "k-means starts; the best is kept", false},
        {"weighted", OPTION_FLAG, &s.weighted, 0, 0, NULL, NULL, "centroids count as many as they stand for",
         false},
        {"whiten", OPTION_INTEGER, &s.whiten, 0, 1e6, NULL, "N",
         "whiten, keeping N principal directions at most; 0: do not", false},
        {"center", OPTION_FLAG, &s.center, 0, 0, NULL, NULL, "subtract the mean embedding first", false},
        {"min-size", OPTION_INTEGER, &s.min_size, 1, 1e9, NULL, NULL,
         "utterances that a cluster must have; those of smaller ones get no label", false},
        {"plan", OPTION_INTEGER, &s.plan, 0, 1e12, NULL, NULL,
         "only say what so many utterances would take; no file is looked at", false},
        {0}};
    Program program = {.name = "cluster",
                       .summary = "Groups embeddings into pseudo-speakers.",
                       .usage = "[options] --embeddings FILE --out FILE --report FILE"};
    program_begin(&program, options, argc, argv);
    check_settings(&program, &s);
    if (s.plan) {
        plan(&s);
        return program_done(&program, "a plan for %lld utterances", (long long)s.plan);
    }
    Error error = {0};
    Clustering c = {.agreement_nmi = NAN, .agreement_ari = NAN};
    if (run(&program, &s, &c, &error) < 0)
        return program_fail(&program, &error);
    int64_t n = c.embeddings.n, n_clusters = c.n_clusters;
    clustering_release(&c);
    return program_done(&program, "%lld utterances in %lld clusters", (long long)n, (long long)n_clusters);
}
