#include "cluster/choose_clusters.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "cluster/quality.h"

enum { GRID = 24, MOST_ROWS = 64 };
static const double FINE_STEP = 1.02;
static const double FIRST_PEAK = 0.85, DIP = 0.98; // see choose_clusters.h
// Of the cosines inside clusters. Chosen on i-vectors of four real and spoken corpora and on made mixtures
// (docs/results/wild.md): there 0.58 to 0.60 give the number of speakers within a third.
static const double COHESION = 0.59;

typedef struct Sweeper {
    const Dendrogram *dendrogram;
    const float *points; // [n_points, dim]; NULL: the silhouette decides
    const float *rows;   // [n, dim]
    int64_t n, dim;
    const int64_t *point_of; // [n] or NULL
    int64_t n_sample;
    const Stability *stability;
    int64_t *point_labels; // [n_points]
    int64_t *labels;       // [n]
    Sweep *sweep;
} Sweeper;

static int compare_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int compare_rows(const void *a, const void *b)
{
    return compare_int64(&((const SweepRow *)a)->n_clusters, &((const SweepRow *)b)->n_clusters);
}

static void describe_sizes(const Sweeper *s, SweepRow *row)
{
    int64_t k = row->n_clusters, *sizes = mem_alloc((size_t)k, sizeof(int64_t));
    cluster_sizes(s->labels, s->n, k, sizes);
    qsort(sizes, (size_t)k, sizeof(int64_t), compare_int64);
    row->singletons = count_singletons(sizes, k);
    row->smallest = sizes[0];
    row->median = sizes[k / 2];
    row->largest = sizes[k - 1];
    mem_free(sizes);
}

static bool is_tried(const Sweep *sweep, int64_t n_clusters)
{
    for (int64_t i = 0; i < sweep->n_rows; i++)
        if (sweep->rows[i].n_clusters == n_clusters)
            return true;
    return false;
}

static int try_count(Sweeper *s, int64_t n_clusters, Error *error)
{
    Sweep *sweep = s->sweep;
    if (sweep->n_rows == MOST_ROWS || is_tried(sweep, n_clusters))
        return 0;
    if (interrupt_requested())
        return interrupt_fail(error);
    dendrogram_cut(s->dendrogram, n_clusters, s->point_labels);
    for (int64_t i = 0; i < s->n; i++)
        s->labels[i] = s->point_labels[s->point_of ? s->point_of[i] : i];
    SweepRow row = {.n_clusters = n_clusters};
    if (silhouette_measure(s->rows, s->n, s->dim, s->labels, n_clusters, s->n_sample, &row.silhouette,
                           error) < 0)
        return -1;
    describe_sizes(s, &row);
    row.height = dendrogram_height(s->dendrogram, n_clusters);
    double before =
        n_clusters < s->dendrogram->n_points ? dendrogram_height(s->dendrogram, n_clusters + 1) : 0;
    row.gap = before > 0 ? row.height / before - 1 : 0;
    row.agreement = s->stability ? stability_measure(s->stability, s->point_labels, n_clusters) : NAN;
    sweep->rows[sweep->n_rows++] = row;
    return 0;
}

static int64_t highest_row(const Sweep *sweep)
{
    int64_t best = 0;
    for (int64_t i = 1; i < sweep->n_rows; i++)
        if (sweep->rows[i].silhouette > sweep->rows[best].silhouette)
            best = i;
    return best;
}

// The highest row of the sorted sweep, or a peak before it that comes near and has a dip behind it.
static int64_t best_row(const Sweep *sweep)
{
    int64_t highest = highest_row(sweep), peak = 0;
    double most = sweep->rows[highest].silhouette;
    for (int64_t i = 1; i < highest; i++) {
        double here = sweep->rows[i].silhouette, there = sweep->rows[peak].silhouette;
        if (here > there)
            peak = i;
        else if (there >= FIRST_PEAK * most && here < DIP * there)
            return peak;
    }
    return highest;
}

// Tries the geometric middles on both sides of the best until its neighbours are FINE_STEP away.
static int refine(Sweeper *s, Error *error)
{
    Sweep *sweep = s->sweep;
    for (int64_t tried = -1; tried != sweep->n_rows;) {
        tried = sweep->n_rows;
        qsort(sweep->rows, (size_t)sweep->n_rows, sizeof(SweepRow), compare_rows);
        int64_t best = best_row(sweep), counts[2] = {0, 0};
        for (int side = 0; side < 2; side++) {
            int64_t other = best + (side ? 1 : -1);
            if (other < 0 || other >= sweep->n_rows)
                continue;
            double a = (double)sweep->rows[best].n_clusters, b = (double)sweep->rows[other].n_clusters;
            if (fmax(a, b) / fmin(a, b) > FINE_STEP)
                counts[side] = (int64_t)llround(sqrt(a * b));
        }
        for (int side = 0; side < 2; side++)
            if (counts[side] > 0 && try_count(s, counts[side], error) < 0)
                return -1;
    }
    return 0;
}

// ---- cohesion
// ----------------------------------------------------------------------------------------------

// The mean cosine of a point with the others of its cluster, over all points that have any; NAN where none
// has.
static double mean_cosine_inside(const Sweeper *s, int64_t n_clusters)
{
    int64_t n = s->dendrogram->n_points, dim = s->dim, n_counted = 0;
    double *sums = mem_zero((size_t)(n_clusters * dim), sizeof(double)), total = 0;
    int64_t *sizes = mem_alloc((size_t)n_clusters, sizeof(int64_t));
    cluster_sizes(s->point_labels, n, n_clusters, sizes);
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < dim; d++)
            sums[s->point_labels[i] * dim + d] += s->points[i * dim + d];
    for (int64_t i = 0; i < n; i++) {
        int64_t k = s->point_labels[i];
        double with_itself = 0, own = 0;
        for (int64_t d = 0; sizes[k] > 1 && d < dim; d++) {
            own += (double)s->points[i * dim + d] * s->points[i * dim + d];
            with_itself += s->points[i * dim + d] * sums[k * dim + d];
        }
        if (sizes[k] > 1) {
            total += (with_itself - own) / (double)(sizes[k] - 1);
            n_counted++;
        }
    }
    mem_free(sizes);
    mem_free(sums);
    return n_counted > 0 ? total / (double)n_counted : NAN;
}

// From the finest cut at which any two points are together to the one where the rule holds. The height only
// rises, by a thousandth at least, so it ends. (Heights, not cosines: 1 - (1 - h) need not be h.)
static int64_t cohesive_count(const Sweeper *s, int64_t most, double *height, double *inside)
{
    const double least_step = 1e-3;
    *height = s->dendrogram->merges[0].height;
    *inside = 1;
    if (*height >= 1) // no two points are alike at all
        return most;
    for (;;) {
        int64_t count = dendrogram_count_at(s->dendrogram, *height);
        dendrogram_cut(s->dendrogram, count, s->point_labels);
        *inside = mean_cosine_inside(s, count);
        double wanted = 1 - fmax(COHESION * *inside, 0);
        if (!(wanted > *height + least_step))
            return count < 2 ? 2 : count < most ? count : most;
        *height = wanted;
    }
}

static int choose_by_cohesion(Sweeper *s, int64_t most, Error *error)
{
    double height, inside;
    int64_t count = cohesive_count(s, most, &height, &inside);
    Sweep *sweep = s->sweep;
    if (try_count(s, count, error) < 0)
        return -1;
    qsort(sweep->rows, (size_t)sweep->n_rows, sizeof(SweepRow), compare_rows);
    for (int64_t i = 0; i < sweep->n_rows; i++)
        sweep->rows[i].chosen = sweep->rows[i].n_clusters == count;
    sweep->n_clusters = count;
    snprintf(sweep->reason, sizeof sweep->reason,
             "%lld clusters: merged down to a mean cosine of %.3f, %.0f %% of that inside the clusters, %.3f",
             (long long)count, 1 - height, 100 * COHESION, inside);
    return 0;
}

// ---- silhouette
// --------------------------------------------------------------------------------------------

static void conclude(Sweep *sweep)
{
    int64_t best = best_row(sweep);
    SweepRow *row = &sweep->rows[best];
    row->chosen = true;
    sweep->n_clusters = row->n_clusters;
    int64_t low = best, high = best; // as good but for 1 %
    while (low > 0 && sweep->rows[low - 1].silhouette >= 0.99 * row->silhouette)
        low--;
    while (high + 1 < sweep->n_rows && sweep->rows[high + 1].silhouette >= 0.99 * row->silhouette)
        high++;
    const SweepRow *highest = &sweep->rows[highest_row(sweep)];
    int written = snprintf(sweep->reason, sizeof sweep->reason,
                           "%lld clusters have the best silhouette (%.4f, cosine distance) of %lld counts "
                           "tried; %lld to %lld are within 1 %% of it",
                           (long long)row->n_clusters, row->silhouette, (long long)sweep->n_rows,
                           (long long)sweep->rows[low].n_clusters, (long long)sweep->rows[high].n_clusters);
    if (highest != row)
        snprintf(sweep->reason + written, sizeof sweep->reason - (size_t)written,
                 "; a second peak at %lld (%.4f, median size %lld) counts as pairs of nearest neighbours",
                 (long long)highest->n_clusters, highest->silhouette, (long long)highest->median);
}

static int sweep_grid(Sweeper *s, int64_t most, Error *error)
{
    double low = 2, high = (double)most;
    for (int i = 0; i < GRID; i++)
        if (try_count(s, (int64_t)llround(low * pow(high / low, (double)i / (GRID - 1))), error) < 0)
            return -1;
    return s->points ? choose_by_cohesion(s, most, error) : refine(s, error);
}

int choose_clusters(const Dendrogram *dendrogram, int64_t most, const float *points, const float *rows,
                    int64_t n, int64_t dim, const int64_t *point_of, int64_t n_sample,
                    const Stability *stability, Sweep *sweep, Error *error)
{
    if (most < 3)
        return error_set(
            error, "%lld different points are too few to choose a cluster number from; say --clusters N",
            (long long)most);
    Sweep made = {.rows = mem_zero(MOST_ROWS, sizeof(SweepRow))};
    Sweeper s = {dendrogram, points, rows, n, dim, point_of, n_sample, stability, NULL, NULL, &made};
    s.point_labels = mem_alloc((size_t)dendrogram->n_points, sizeof(int64_t));
    s.labels = mem_alloc((size_t)n, sizeof(int64_t));
    int status = sweep_grid(&s, most, error);
    mem_free(s.point_labels);
    mem_free(s.labels);
    if (status < 0) {
        sweep_release(&made);
        return -1;
    }
    if (!points)
        conclude(&made);
    *sweep = made;
    return 0;
}

void sweep_release(Sweep *sweep)
{
    mem_free(sweep->rows);
    *sweep = (Sweep){0};
}
