#include "cluster/clustering.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "cluster/kmeans.h"
#include "cluster/quality.h"
#include "cluster/same_rows.h"
#include "cluster/whiten.h"
#include "score/cosine.h"

// With hardly more rows than directions whitening puts every row equally far from every other one: one
// direction for six utterances at most.
enum { UTTS_PER_DIRECTION = 6, FEWEST_DIRECTIONS = 4 };
// Up to this many utterances are agglomerated themselves; of more, this many k-means centroids, the recipe's
// number for VoxCeleb2. (Fewer centroids than that would merge speakers before agglomeration sees them.)
enum { MOST_POINTS = 50000 };
// --- points to agglomerate

static int normalise(const ClusteringOptions *options, Embeddings *e, const char *when, Error *error)
{
    int64_t bad = rows_normalise(e->matrix, e->n, e->dim);
    if (bad < 0)
        return 0;
    return error_set(error, "%s: the embedding of %s is zero or not finite%s", options->name, e->utts[bad],
                     when);
}

static int64_t count_different(const Embeddings *e)
{
    int64_t *group = mem_alloc((size_t)e->n, sizeof(int64_t)), n = same_rows(e->matrix, e->n, e->dim, group);
    mem_free(group);
    return n;
}

// Into the strongest directions, each of variance 1.
static int whiten(const ClusteringOptions *options, int64_t keep, Clustering *c, Error *error)
{
    Embeddings *e = &c->embeddings;
    Whitening w;
    if (whitening_fit(e->matrix, e->n, e->dim, keep, &w, error) < 0)
        return -1;
    if (w.kept < FEWEST_DIRECTIONS &&
        w.kept < keep) { // the rows hardly differ: all would lie in a corner or two
        log_info("whitening: left out, the embeddings vary in %lld directions only", (long long)w.kept);
        whitening_release(&w);
        return 0;
    }
    float *whitened = mem_try_alloc((size_t)(e->n * w.kept), sizeof(float), "whitening", error);
    if (whitened) {
        log_info("whitening: %lld of %lld principal directions kept", (long long)w.kept, (long long)e->dim);
        whitening_apply(&w, e->matrix, e->n, whitened);
        mem_free(e->matrix);
        e->matrix = whitened;
        e->dim = w.kept;
        c->directions = mem_alloc((size_t)(w.kept * w.dim), sizeof(float));
        for (int64_t i = 0; i < w.kept * w.dim; i++)
            c->directions[i] = (float)(w.vectors[i] / w.deviations[i / w.dim]);
        for (int64_t d = 0; d < w.dim; d++)
            c->mean[d] = (float)w.mean[d];
    }
    whitening_release(&w);
    return whitened ? normalise(options, e, " after whitening", error) : -1;
}

// Rows of length 1, after centring or whitening where asked for.
static int prepare_rows(const ClusteringOptions *options, Clustering *c, Error *error)
{
    Embeddings *e = &c->embeddings;
    if (e->n < 2)
        return error_set(error, "%s has %lld embeddings; clustering needs at least 2", options->name,
                         (long long)e->n);
    if (normalise(options, e, "", error) < 0)
        return -1;
    c->input_dim = e->dim;
    c->mean = mem_zero((size_t)e->dim, sizeof(float));
    int64_t n_different = count_different(e), most = n_different / UTTS_PER_DIRECTION;
    int64_t keep = options->whiten < most ? options->whiten : most;
    if (options->whiten > 0 && most < FEWEST_DIRECTIONS)
        log_info("whitening: left out, %lld different utterances are too few", (long long)n_different);
    if (keep > 0 && most >= FEWEST_DIRECTIONS)
        return whiten(options, keep, c, error);
    if (!options->center)
        return 0;
    mem_free(c->mean);
    c->mean = rows_mean(e->matrix, e->n, e->dim);
    rows_subtract(e->matrix, e->n, e->dim, c->mean);
    return normalise(options, e, " after centring", error);
}

ClusteringOptions clustering_defaults(void)
{
    return (ClusteringOptions){.clusters = "auto",
                               .linkage = "average",
                               .iterations = 25,
                               .redo = 1,
                               .whiten = 100,
                               .min_size = 1,
                               .stability_points = 10000,
                               .threshold_distance = NAN,
                               .threshold_similarity = NAN};
}

int64_t clustering_points(const ClusteringOptions *options, int64_t n)
{
    int64_t most = options->centroids > 0 ? options->centroids : MOST_POINTS;
    return n < most ? n : most;
}

// The different rows, each once, with how many there are of it; c->point_of says which one an utterance has.
typedef struct Different {
    float *rows;     // [n, dim]; the embeddings' own where all differ
    int64_t *counts; // [n] or NULL: all differ
    int64_t n;
} Different;

static int find_different(Clustering *c, Different *different, Error *error)
{
    const Embeddings *e = &c->embeddings;
    int64_t *group = mem_alloc((size_t)e->n, sizeof(int64_t));
    *different = (Different){e->matrix, NULL, same_rows(e->matrix, e->n, e->dim, group)};
    if (different->n == e->n) {
        mem_free(group);
        return 0;
    }
    log_info("%lld of %lld embeddings are the same as another one and stay with it",
             (long long)(e->n - different->n), (long long)e->n);
    c->point_of = group;
    different->rows =
        mem_try_alloc((size_t)different->n, (size_t)e->dim * sizeof(float), "the different rows", error);
    different->counts = mem_zero((size_t)different->n, sizeof(int64_t));
    for (int64_t i = 0; different->rows && i < e->n; i++)
        if (different->counts[group[i]]++ == 0)
            memcpy(different->rows + group[i] * e->dim, e->matrix + i * e->dim,
                   (size_t)e->dim * sizeof(float));
    return different->rows ? 0 : -1;
}

static void different_release(const Clustering *c, Different *different)
{
    if (different->rows != c->embeddings.matrix && different->rows != c->points)
        mem_free(different->rows);
    mem_free(different->counts);
}

// The different rows are the points. Where some are there several times, that is their weight.
static void take_different(const Different *different, Clustering *c)
{
    c->points = different->rows;
    c->n_points = different->n;
    if (!different->counts)
        return;
    c->weights = mem_alloc((size_t)different->n, sizeof(double));
    for (int64_t i = 0; i < different->n; i++)
        c->weights[i] = (double)different->counts[i];
}

// Drops empty centroids and renumbers, so that every point stands for somebody.
static void take_centroids(const ClusteringOptions *options, Kmeans *found, const Different *different,
                           Clustering *c)
{
    int64_t dim = c->embeddings.dim, used = 0;
    int64_t *place = mem_alloc((size_t)found->n_centroids, sizeof(int64_t));
    c->weights = options->weighted ? mem_zero((size_t)found->n_centroids, sizeof(double)) : NULL;
    for (int64_t k = 0; k < found->n_centroids; k++) {
        place[k] = used;
        if (found->counts[k] == 0)
            continue;
        memmove(found->centroids + used * dim, found->centroids + k * dim, (size_t)dim * sizeof(float));
        used++;
    }
    for (int64_t i = 0; i < different->n; i++) {
        found->labels[i] = place[found->labels[i]];
        if (c->weights)
            c->weights[found->labels[i]] += different->counts ? (double)different->counts[i] : 1;
    }
    mem_free(place);
    c->points = found->centroids;
    c->n_points = used;
    found->centroids = NULL;
    for (int64_t i = 0; c->point_of && i < c->embeddings.n; i++)
        c->point_of[i] = found->labels[c->point_of[i]];
    if (!c->point_of) {
        c->point_of = found->labels;
        found->labels = NULL;
    }
    kmeans_release(found);
}

static int run_kmeans(const ClusteringOptions *options, const Different *different, int64_t n_centroids,
                      Clustering *c, Error *error)
{
    int64_t n = different->n, dim = c->embeddings.dim;
    char text[32];
    KmeansOptions kmeans_options = kmeans_defaults(n_centroids);
    kmeans_options.n_iterations = (int)options->iterations;
    kmeans_options.n_redo = (int)options->redo;
    kmeans_options.spherical = true;
    kmeans_options.seed = options->seed;
    log_info(
        "k-means: %lld x %lld to %lld centroids, spherical, %d iterations, %d starts, every row used, seed "
        "%lld; takes %s",
        (long long)n, (long long)dim, (long long)n_centroids, kmeans_options.n_iterations,
        kmeans_options.n_redo, (long long)options->seed, log_bytes(text, kmeans_bytes(n, dim, n_centroids)));
    Kmeans found;
    if (kmeans(different->rows, n, dim, &kmeans_options, &found, error) < 0)
        return -1;
    log_info("k-means: mean cosine to the centroid %.4f, %lld empty centroids dropped",
             found.objective / (double)n, (long long)found.n_empty);
    take_centroids(options, &found, different, c);
    return 0;
}

static int make_points(const ClusteringOptions *options, Clustering *c, Error *error)
{
    Different different;
    if (find_different(c, &different, error) < 0) {
        different_release(c, &different);
        return -1;
    }
    int64_t n_centroids = clustering_points(options, different.n);
    int status = 0;
    if (n_centroids == different.n) {
        take_different(&different, c);
        log_info("points: the %lld utterances themselves, no k-means", (long long)different.n);
    } else {
        status = run_kmeans(options, &different, n_centroids, c, error);
    }
    different_release(c, &different);
    return status;
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

static Linkage linkage_of(const ClusteringOptions *options)
{
    return strcmp(options->linkage, "ward") == 0 ? LINKAGE_WARD : LINKAGE_AVERAGE;
}

// Up to this height points are the same but for the rounding of unit rows to float: a distance of about 1e-7,
// which Ward's heights multiply by the root of the size.
static double rounding_height(const ClusteringOptions *options)
{
    return linkage_of(options) == LINKAGE_WARD ? 1e-5 : 1e-12;
}

static int sweep_counts(const ClusteringOptions *options, Clustering *c, int64_t most, Error *error)
{
    const Embeddings *e = &c->embeddings;
    if (most == 1)
        return error_set(error, "%s: all embeddings are the same; is the model trained?", options->name);
    Stability stability = {0};
    bool measured = c->n_points <= options->stability_points;
    if (measured && stability_begin(c->points, c->weights, c->n_points, e->dim, linkage_of(options),
                                    options->seed, &stability, error) < 0)
        return -1;
    if (!measured)
        log_info(
            "agreement across parts of the points: left out, there are more than %lld (--stability-points)",
            (long long)options->stability_points);
    const float *points = linkage_of(options) == LINKAGE_AVERAGE ? c->points : NULL;
    int status = choose_clusters(&c->dendrogram, most, points, e->matrix, e->n, e->dim, c->point_of,
                                 SILHOUETTE_ROWS, measured ? &stability : NULL, &c->sweep, error);
    stability_release(&stability);
    return status;
}

static int choose(const ClusteringOptions *options, Clustering *c, Error *error)
{
    bool by_distance = !isnan(options->threshold_distance),
         by_similarity = !isnan(options->threshold_similarity);
    int64_t most = dendrogram_count_at(&c->dendrogram, rounding_height(options));
    if (by_distance || by_similarity) {
        double height = by_distance ? options->threshold_distance : 1 - options->threshold_similarity;
        c->n_clusters = dendrogram_count_at(&c->dendrogram, fmax(height, rounding_height(options)));
        log_info("cut: %lld clusters at %s linkage distance %.4f", (long long)c->n_clusters, options->linkage,
                 height);
        return 0;
    }
    if (strcmp(options->clusters, "auto") != 0) {
        c->n_clusters = strtoll(options->clusters, NULL, 10);
        if (c->n_clusters > most)
            return error_set(error,
                             "%lld clusters cannot be made from %lld different points; lower --clusters or "
                             "raise --centroids",
                             (long long)c->n_clusters, (long long)most);
        return 0;
    }
    if (sweep_counts(options, c, most, error) < 0)
        return -1;
    print_sweep(&c->sweep);
    c->n_clusters = c->sweep.n_clusters;
    return 0;
}

static int build_and_cut(const ClusteringOptions *options, Clustering *c, Error *error)
{
    Linkage linkage = linkage_of(options);
    char text[32];
    log_info("agglomeration: %lld points, %s linkage, %s; takes %s", (long long)c->n_points, options->linkage,
             c->weights ? "weighted" : "unweighted",
             log_bytes(text, agglomerate_bytes(c->n_points, c->embeddings.dim)));
    if (agglomerate(c->points, c->weights, c->n_points, c->embeddings.dim, linkage, &c->dendrogram, error) <
            0 ||
        choose(options, c, error) < 0)
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

static int keep_large(const ClusteringOptions *options, Clustering *c, int64_t *classes, Error *error)
{
    if (options->min_size <= 1)
        return 0;
    drop_small(options->min_size, c, classes);
    if (c->n_clusters == 0)
        return error_set(error, "no cluster has %lld utterances; lower --min-size",
                         (long long)options->min_size);
    log_info("%lld clusters with less than %lld utterances dropped; their %lld utterances get no label",
             (long long)c->n_small, (long long)options->min_size, (long long)c->n_dropped);
    return 0;
}

int cluster_embeddings(const ClusteringOptions *options, Clustering *c, int64_t *classes, Error *error)
{
    if (prepare_rows(options, c, error) < 0 || make_points(options, c, error) < 0 ||
        build_and_cut(options, c, error) < 0)
        return -1;
    return keep_large(options, c, classes, error);
}

void clustering_release(Clustering *c)
{
    if (c->points != c->embeddings.matrix)
        mem_free(c->points);
    mem_free(c->mean);
    mem_free(c->directions);
    mem_free(c->point_of);
    mem_free(c->weights);
    mem_free(c->labels);
    dendrogram_release(&c->dendrogram);
    sweep_release(&c->sweep);
    embeddings_release(&c->embeddings);
}
