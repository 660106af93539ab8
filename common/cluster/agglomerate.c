#include "cluster/agglomerate.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "tensor/gemm.h"

// Floats in one block of dot products: 64 MiB, or one row of it when a row is longer.
enum { BLOCK_FLOATS = 16 << 20, BLOCK_ROWS = 256 };

// Relative error allowed to a float dot product before a candidate is recomputed in double. The bound for
// sums of 1 000 terms is about sqrt(1000) * 6e-8.
static const float ROUNDING = 4e-6F;

// A row of length 1 whose numbers were rounded to float has this squared length, but for so much.
static const double UNIT_ROUNDING = 1e-6;

typedef struct Clusters {
    Linkage linkage;
    int64_t n_slots, dim; // slots hold live clusters, and dead ones (size 0) until the next compaction
    int64_t n_live;
    float *mean;        // [slot, dim]
    float *norm2;       // [slot] squared length of the mean
    double *size;       // [slot]
    double *scatter;    // [slot] mean squared distance of its points to the mean; average linkage only
    double *height;     // [slot] of the merge that made it
    int64_t *point;     // [slot] some point inside, as the cluster's name
    int64_t *nearest;   // [slot]; -1: to be found
    double *distance;   // [slot] to the nearest, as compared (ward: squared height)
    int64_t *unknown;   // scratch: slots without a nearest; the new places during compaction
    float *rows, *dots; // scratch: [block, dim], [block, slot]
    int64_t block;
} Clusters;

static int64_t block_rows(int64_t n)
{
    int64_t rows = BLOCK_FLOATS / n;
    return rows < 1 ? 1 : rows > BLOCK_ROWS ? BLOCK_ROWS : rows;
}

double agglomerate_bytes(int64_t n, int64_t dim)
{
    double per_slot = (double)dim * sizeof(float) + sizeof(float) + 4 * sizeof(double) + 3 * sizeof(int64_t) +
                      2 * sizeof(Merge); // merges, and qsort's copy
    return (double)n * per_slot + (double)block_rows(n) * (double)(n + dim) * sizeof(float);
}

// --- distances

static double ward_factor(double size_a, double size_b)
{
    return 2.0 * size_a * size_b / (size_a + size_b);
}

static double squared_distance(const Clusters *c, int64_t a, int64_t b)
{
    const float *x = c->mean + a * c->dim, *y = c->mean + b * c->dim;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t d = 0; d < c->dim; d++)
        sum += ((double)x[d] - y[d]) * ((double)x[d] - y[d]);
    return sum;
}

// The value that linkages compare, in double and symmetric in a and b. Average linkage's 1 - mean_a . mean_b
// is half the mean squared distance between points of length 1: that of the means and both scatters. So it is
// 0 for equal points, and never below.
static double exact_distance(const Clusters *c, int64_t a, int64_t b)
{
    double squared = squared_distance(c, a, b);
    return c->linkage == LINKAGE_AVERAGE ? (squared + c->scatter[a] + c->scatter[b]) / 2
                                         : ward_factor(c->size[a], c->size[b]) * squared;
}

static double height_of(const Clusters *c, double distance)
{
    return c->linkage == LINKAGE_WARD ? sqrt(distance) : distance;
}

// Turns a row of dot products into lower bounds of the distances from `slot`, and returns the smallest upper
// bound among the others: what lies above it cannot be the nearest.
static float bound_distances(const Clusters *c, int64_t slot, float *row)
{
    const float own_norm2 = c->norm2[slot], own_size = (float)c->size[slot];
    const double *size = c->size;
    const float *norm2 = c->norm2;
    bool ward = c->linkage == LINKAGE_WARD;
    // Average linkage's exact distance takes lengths for 1 that are so but for UNIT_ROUNDING.
    const float least = ward ? 1e-30F : 2 * (float)UNIT_ROUNDING;
    row[slot] = INFINITY;
    float best = INFINITY;
    for (int64_t j = 0; j < c->n_slots; j++) {
        float other = (float)size[j];
        float margin = ROUNDING * (own_norm2 + norm2[j]) + least;
        float factor = ward ? 2 * own_size * other / (own_size + other) : 1;
        float value = ward ? own_norm2 + norm2[j] - 2 * row[j] : 1 - row[j];
        bool candidate = other > 0 && j != slot;
        // The factor 1.00001 covers the rounding of the factor itself.
        float upper = candidate ? (value + margin) * factor + 1e-5F * fabsf(value * factor) : INFINITY;
        row[j] = candidate ? (value - margin) * factor - 1e-5F * fabsf(value * factor) : INFINITY;
        best = upper < best ? upper : best;
    }
    return best;
}

static void find_nearest(Clusters *c, int64_t slot, float *row)
{
    float limit = bound_distances(c, slot, row);
    double best = INFINITY;
    int64_t nearest = -1;
    for (int64_t j = 0; j < c->n_slots; j++) {
        if (row[j] > limit || c->size[j] <= 0 || j == slot) // a bound that overflowed to NaN says nothing
            continue;
        double distance = exact_distance(c, slot, j);
        if (nearest < 0 || distance < best) { // the lower index wins a tie
            best = distance;
            nearest = j;
        }
    }
    c->nearest[slot] = nearest;
    c->distance[slot] = best;
}

static void find_all_nearest(Clusters *c)
{
    int64_t n_unknown = 0;
    for (int64_t i = 0; i < c->n_slots; i++)
        if (c->size[i] > 0 && c->nearest[i] < 0)
            c->unknown[n_unknown++] = i;
    for (int64_t start = 0; start < n_unknown; start += c->block) {
        int64_t rows = n_unknown - start < c->block ? n_unknown - start : c->block;
        for (int64_t r = 0; r < rows; r++)
            memcpy(c->rows + r * c->dim, c->mean + c->unknown[start + r] * c->dim,
                   (size_t)c->dim * sizeof(float));
        gemm(false, true, rows, c->n_slots, c->dim, 1, c->rows, c->dim, c->mean, c->dim, 0, c->dots,
             c->n_slots);
#pragma omp parallel for schedule(dynamic, 4)
        for (int64_t r = 0; r < rows; r++)
            find_nearest(c, c->unknown[start + r], c->dots + r * c->n_slots);
    }
}

// --- merging

static double set_norm2(Clusters *c, int64_t slot)
{
    const float *x = c->mean + slot * c->dim;
    double sum = 0;
    for (int64_t d = 0; d < c->dim; d++)
        sum += (double)x[d] * x[d];
    c->norm2[slot] = (float)sum;
    return sum;
}

// A point of length 1 has no scatter; the mean of such, which is shorter, has what it lacks.
static double initial_scatter(double norm2)
{
    return 1 - norm2 > UNIT_ROUNDING ? 1 - norm2 : 0;
}

// b goes into a.
static void merge_slots(Clusters *c, int64_t a, int64_t b, Merge *merge)
{
    double height = height_of(c, c->distance[a]);
    double below = fmax(c->height[a], c->height[b]);
    // Heights grow towards the root; rounding may not undo that.
    *merge = (Merge){c->point[a], c->point[b], fmax(height, below), c->size[a] + c->size[b]};
    float *x = c->mean + a * c->dim, *y = c->mean + b * c->dim;
    double share = c->size[b] / merge->size;
    c->scatter[a] +=
        share * (c->scatter[b] - c->scatter[a]) + share * (1 - share) * squared_distance(c, a, b);
    for (int64_t d = 0; d < c->dim; d++)
        x[d] = (float)(x[d] + share * ((double)y[d] - x[d]));
    c->size[a] = merge->size;
    c->height[a] = merge->height;
    c->size[b] = 0;
    memset(y, 0, (size_t)c->dim * sizeof(float));
    c->norm2[b] = 0;
    set_norm2(c, a);
    c->nearest[a] = c->nearest[b] = -1;
    c->n_live--;
}

static int64_t closest_slot(const Clusters *c)
{
    int64_t best = -1;
    for (int64_t i = 0; i < c->n_slots; i++)
        if (c->size[i] > 0 && (best < 0 || c->distance[i] < c->distance[best]))
            best = i;
    return best;
}

// Merges every reciprocal pair; returns how many merges it wrote.
static int64_t merge_round(Clusters *c, Merge *merges)
{
    int64_t n = 0;
    bool *changed = mem_zero((size_t)c->n_slots, sizeof(bool));
    for (int64_t i = 0; i < c->n_slots; i++) {
        if (c->size[i] <= 0 || changed[i])
            continue;
        int64_t j = c->nearest[i];
        if (j > i && !changed[j] && c->nearest[j] == i) {
            merge_slots(c, i, j, &merges[n++]);
            changed[i] = changed[j] = true;
        }
    }
    if (n == 0) { // only exact ties can leave no reciprocal pair
        int64_t i = closest_slot(c), j = c->nearest[i];
        merge_slots(c, i, j, &merges[n++]);
        changed[i] = changed[j] = true;
    }
    for (int64_t i = 0; i < c->n_slots; i++)
        if (c->size[i] > 0 && c->nearest[i] >= 0 && changed[c->nearest[i]])
            c->nearest[i] = -1;
    mem_free(changed);
    return n;
}

// Moves the live slots to the front, in order, so that products do not work on dead rows.
static void compact(Clusters *c)
{
    int64_t *place = c->unknown, n = 0;
    for (int64_t i = 0; i < c->n_slots; i++)
        place[i] = c->size[i] > 0 ? n++ : -1;
    for (int64_t i = 0; i < c->n_slots; i++) {
        int64_t to = place[i];
        if (to < 0)
            continue;
        memmove(c->mean + to * c->dim, c->mean + i * c->dim, (size_t)c->dim * sizeof(float));
        c->norm2[to] = c->norm2[i];
        c->size[to] = c->size[i];
        c->scatter[to] = c->scatter[i];
        c->height[to] = c->height[i];
        c->point[to] = c->point[i];
        c->distance[to] = c->distance[i];
        c->nearest[to] = c->nearest[i] < 0 ? -1 : place[c->nearest[i]];
    }
    c->n_slots = n;
}

// --- the dendrogram

static int64_t find_root(int64_t *parent, int64_t i)
{
    while (parent[i] != i) {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    return i;
}

static int compare_merges(const void *a, const void *b)
{
    const Merge *x = a, *y = b;
    if (x->height != y->height)
        return x->height < y->height ? -1 : 1;
    if (x->size != y->size) // a parent of the same height comes after its children
        return x->size < y->size ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

// Merges name their sides by a point inside; scipy's rows name them by node.
static void name_nodes(Merge *merges, int64_t n)
{
    qsort(merges, (size_t)(n - 1), sizeof(Merge), compare_merges);
    int64_t *parent = mem_alloc((size_t)n, sizeof(int64_t));
    int64_t *node = mem_alloc((size_t)n, sizeof(int64_t));
    for (int64_t i = 0; i < n; i++)
        parent[i] = node[i] = i;
    for (int64_t m = 0; m < n - 1; m++) {
        int64_t a = find_root(parent, merges[m].first), b = find_root(parent, merges[m].second);
        merges[m].first = node[a] < node[b] ? node[a] : node[b];
        merges[m].second = node[a] < node[b] ? node[b] : node[a];
        parent[b] = a;
        node[a] = n + m;
    }
    mem_free(parent);
    mem_free(node);
}

static void clusters_release(Clusters *c)
{
    void *blocks[] = {c->mean,    c->norm2,    c->size,    c->scatter, c->height, c->point,
                      c->nearest, c->distance, c->unknown, c->rows,    c->dots};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        mem_free(blocks[i]);
}

static int clusters_init(Clusters *c, const float *points, const double *weights, int64_t n, int64_t dim,
                         Linkage linkage, Error *error)
{
    *c = (Clusters){.linkage = linkage, .n_slots = n, .n_live = n, .dim = dim, .block = block_rows(n)};
    size_t slots = (size_t)n;
    c->mean = mem_try_alloc(slots, (size_t)dim * sizeof(float), "the cluster means", error);
    c->dots = mem_try_alloc((size_t)c->block, slots * sizeof(float), "a block of dot products", error);
    if (!c->mean || !c->dots)
        return -1;
    c->rows = mem_alloc((size_t)c->block, (size_t)dim * sizeof(float));
    c->norm2 = mem_alloc(slots, sizeof(float));
    c->size = mem_alloc(slots, sizeof(double));
    c->scatter = mem_alloc(slots, sizeof(double));
    c->height = mem_zero(slots, sizeof(double));
    c->point = mem_alloc(slots, sizeof(int64_t));
    c->nearest = mem_alloc(slots, sizeof(int64_t));
    c->distance = mem_alloc(slots, sizeof(double));
    c->unknown = mem_alloc(slots, sizeof(int64_t));
    memcpy(c->mean, points, slots * (size_t)dim * sizeof(float));
    for (int64_t i = 0; i < n; i++) {
        c->size[i] = weights ? weights[i] : 1;
        c->point[i] = i;
        c->nearest[i] = -1;
        c->scatter[i] = initial_scatter(set_norm2(c, i));
    }
    return 0;
}

int agglomerate(const float *points, const double *weights, int64_t n, int64_t dim, Linkage linkage,
                Dendrogram *dendrogram, Error *error)
{
    if (n < 1)
        return error_set(error, "there is nothing to agglomerate");
    Clusters c;
    int64_t done = 0;
    int status = -1;
    Merge *merges = NULL;
    if (clusters_init(&c, points, weights, n, dim, linkage, error) < 0)
        goto cleanup;
    merges = mem_try_alloc((size_t)n, sizeof(Merge), "the dendrogram", error);
    if (!merges)
        goto cleanup;
    while (c.n_live > 1) {
        if (interrupt_requested()) {
            interrupt_fail(error);
            goto cleanup;
        }
        find_all_nearest(&c);
        done += merge_round(&c, merges + done);
        if (c.n_live < c.n_slots - c.n_slots / 8)
            compact(&c);
    }
    name_nodes(merges, n);
    *dendrogram = (Dendrogram){merges, n};
    merges = NULL;
    status = 0;
cleanup:
    mem_free(merges);
    clusters_release(&c);
    return status;
}

void dendrogram_release(Dendrogram *dendrogram)
{
    mem_free(dendrogram->merges);
    *dendrogram = (Dendrogram){0};
}

void dendrogram_cut(const Dendrogram *dendrogram, int64_t n_clusters, int64_t *labels)
{
    int64_t n = dendrogram->n_points, n_merges = n - n_clusters;
    // up[node]: the node above it, among the merges that are made.
    int64_t *up = mem_alloc((size_t)(n + n_merges), sizeof(int64_t));
    int64_t *label_of = mem_alloc((size_t)(n + n_merges), sizeof(int64_t));
    for (int64_t i = 0; i < n + n_merges; i++) {
        up[i] = i;
        label_of[i] = -1;
    }
    for (int64_t m = 0; m < n_merges; m++)
        up[dendrogram->merges[m].first] = up[dendrogram->merges[m].second] = n + m;
    for (int64_t i = n + n_merges - 1; i >= 0; i--)
        up[i] = up[up[i]]; // parents have higher numbers, so theirs is the root already
    int64_t next = 0;
    for (int64_t i = 0; i < n; i++) {
        if (label_of[up[i]] < 0)
            label_of[up[i]] = next++;
        labels[i] = label_of[up[i]];
    }
    mem_free(up);
    mem_free(label_of);
}

int64_t dendrogram_count_at(const Dendrogram *dendrogram, double height)
{
    int64_t low = 0, high = dendrogram->n_points - 1; // first merge above the height
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (dendrogram->merges[middle].height <= height)
            low = middle + 1;
        else
            high = middle;
    }
    return dendrogram->n_points - low;
}

double dendrogram_height(const Dendrogram *dendrogram, int64_t n_clusters)
{
    return n_clusters < 2 ? 0 : dendrogram->merges[dendrogram->n_points - n_clusters].height;
}
