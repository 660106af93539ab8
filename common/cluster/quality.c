#include "cluster/quality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tensor/gemm.h"

enum { SILHOUETTE_ROWS = 128 }; // rows per product
// Cosine distances below this are the rounding of a float product of rows whose lengths are 1 but for
// rounding: they count as 0.
static const double PRODUCT_ROUNDING = 1e-6;

// --- agreement

typedef struct Cell {
    int64_t class_label, cluster_label, count;
} Cell;

static int compare_by_cluster(const void *a, const void *b)
{
    const Cell *x = a, *y = b;
    if (x->cluster_label != y->cluster_label)
        return x->cluster_label < y->cluster_label ? -1 : 1;
    return (x->class_label > y->class_label) - (x->class_label < y->class_label);
}

static int compare_by_class(const void *a, const void *b)
{
    const Cell *x = a, *y = b;
    return (x->class_label > y->class_label) - (x->class_label < y->class_label);
}

// The non-zero cells of the contingency table, sorted by cluster.
static Cell *count_cells(const int64_t *classes, const int64_t *clusters, int64_t n, int64_t *n_cells)
{
    Cell *cells = mem_alloc((size_t)n, sizeof(Cell));
    for (int64_t i = 0; i < n; i++)
        cells[i] = (Cell){classes[i], clusters[i], 1};
    qsort(cells, (size_t)n, sizeof(Cell), compare_by_cluster);
    int64_t used = 0;
    for (int64_t i = 0; i < n; i++) {
        if (used > 0 && compare_by_cluster(&cells[used - 1], &cells[i]) == 0)
            cells[used - 1].count++;
        else
            cells[used++] = cells[i];
    }
    *n_cells = used;
    return cells;
}

typedef struct Side {
    double entropy;   // nats
    double pairs;     // unordered pairs inside groups
    double n_largest; // sum over groups of the largest cell
} Side;

static double pairs_of(double count)
{
    return count * (count - 1) / 2;
}

// Groups are runs of equal labels (of cluster or class, as `compare` says) in the sorted cells.
static Side measure_side(const Cell *cells, int64_t n_cells, double n, int by_cluster)
{
    Side side = {0};
    double total = 0, largest = 0;
    for (int64_t i = 0; i < n_cells; i++) {
        total += (double)cells[i].count;
        largest = fmax(largest, (double)cells[i].count);
        int last = i + 1 == n_cells || (by_cluster ? cells[i].cluster_label != cells[i + 1].cluster_label
                                                   : cells[i].class_label != cells[i + 1].class_label);
        if (!last)
            continue;
        side.entropy -= total / n * log(total / n);
        side.pairs += pairs_of(total);
        side.n_largest += largest;
        total = largest = 0;
    }
    return side;
}

static double ratio(double numerator, double denominator, double undefined)
{
    return denominator > 0 ? numerator / denominator : undefined;
}

void agreement_measure(const int64_t *classes, const int64_t *clusters, int64_t n, Agreement *agreement)
{
    *agreement = (Agreement){0};
    if (n < 1)
        return;
    int64_t n_cells;
    Cell *cells = count_cells(classes, clusters, n, &n_cells);
    double joint_entropy = 0, joint_pairs = 0, all_pairs = pairs_of((double)n);
    for (int64_t i = 0; i < n_cells; i++) {
        double p = (double)cells[i].count / (double)n;
        joint_entropy -= p * log(p);
        joint_pairs += pairs_of((double)cells[i].count);
    }
    Side cluster = measure_side(cells, n_cells, (double)n, 1);
    qsort(cells, (size_t)n_cells, sizeof(Cell), compare_by_class);
    Side class = measure_side(cells, n_cells, (double)n, 0);
    mem_free(cells);

    double information = fmax(0, class.entropy + cluster.entropy - joint_entropy);
    double both = class.entropy + cluster.entropy;
    // 1e-12: entropies of a single group come out as rounding noise
    agreement->nmi = both > 1e-12 ? 2 * information / both : 1;
    agreement->homogeneity = class.entropy > 1e-12 ? information / class.entropy : 1;
    agreement->completeness = cluster.entropy > 1e-12 ? information / cluster.entropy : 1;
    double sum = agreement->homogeneity + agreement->completeness;
    agreement->v_measure = ratio(2 * agreement->homogeneity * agreement->completeness, sum, 0);
    agreement->purity = cluster.n_largest / (double)n;
    agreement->pair_precision = ratio(joint_pairs, cluster.pairs, 0);
    agreement->pair_recall = ratio(joint_pairs, class.pairs, 0);
    agreement->pair_f1 = ratio(2 * joint_pairs, cluster.pairs + class.pairs, 0);
    // Hubert and Arabie 1985: (index - expected) / (maximum - expected)
    double expected = ratio(class.pairs * cluster.pairs, all_pairs, 0);
    double maximum = (class.pairs + cluster.pairs) / 2;
    agreement->ari = maximum == expected ? 1 : (joint_pairs - expected) / (maximum - expected);
}

int64_t agreement_measure_known(const int64_t *classes, const int64_t *clusters, int64_t n,
                                Agreement *agreement)
{
    int64_t *known = mem_alloc(2 * (size_t)n + 1, sizeof(int64_t)), *grouped = known + n, n_known = 0;
    for (int64_t i = 0; i < n; i++)
        if (classes[i] >= 0) {
            known[n_known] = classes[i];
            grouped[n_known++] = clusters[i];
        }
    agreement_measure(known, grouped, n_known, agreement);
    mem_free(known);
    return n_known;
}

// --- sizes

void cluster_sizes(const int64_t *labels, int64_t n, int64_t n_clusters, int64_t *sizes)
{
    memset(sizes, 0, (size_t)n_clusters * sizeof(int64_t));
    for (int64_t i = 0; i < n; i++)
        sizes[labels[i]]++;
}

int64_t count_singletons(const int64_t *sizes, int64_t n_clusters)
{
    int64_t n = 0;
    for (int64_t c = 0; c < n_clusters; c++)
        n += sizes[c] == 1;
    return n;
}

// --- silhouette

// Row numbers by cluster, each cluster's in order: cluster c has those from the sum of the sizes before it
// on.
static int64_t *rows_by_cluster(const int64_t *labels, int64_t n, const int64_t *sizes, int64_t n_clusters)
{
    int64_t *next = mem_alloc((size_t)n_clusters, sizeof(int64_t)), at = 0;
    int64_t *order = mem_alloc((size_t)n, sizeof(int64_t));
    for (int64_t c = 0; c < n_clusters; at += sizes[c++])
        next[c] = at;
    for (int64_t i = 0; i < n; i++)
        order[next[labels[i]]++] = i;
    mem_free(next);
    return order;
}

// means [n_clusters, dim] of the rows, summed in double.
static void average_rows(const float *rows, int64_t n, int64_t dim, const int64_t *labels,
                         const int64_t *sizes, int64_t n_clusters, float *means)
{
    int64_t *order = rows_by_cluster(labels, n, sizes, n_clusters), at = 0;
    double *sums = mem_alloc((size_t)dim, sizeof(double));
    for (int64_t c = 0; c < n_clusters; at += sizes[c++]) {
        memset(sums, 0, (size_t)dim * sizeof(double));
        for (int64_t i = at; i < at + sizes[c]; i++)
            for (int64_t d = 0; d < dim; d++)
                sums[d] += rows[order[i] * dim + d];
        for (int64_t d = 0; d < dim; d++)
            means[c * dim + d] = (float)(sums[d] / (double)sizes[c]);
    }
    mem_free(sums);
    mem_free(order);
}

static double cosine_distance(double product)
{
    return 1 - product < PRODUCT_ROUNDING ? 0 : 1 - product;
}

// From one row's products with the means: (b - a) / max(a, b), a over the others of its own cluster.
static double silhouette_of(const float *products, int64_t own, const int64_t *sizes, int64_t n_clusters)
{
    if (sizes[own] < 2)
        return 0;
    double size = (double)sizes[own], nearest = -2;
    for (int64_t c = 0; c < n_clusters; c++)
        if (c != own && products[c] > nearest)
            nearest = products[c];
    double a = cosine_distance((size * products[own] - 1) / (size - 1)), b = cosine_distance(nearest);
    double larger = fmax(a, b);
    return larger > 0 ? (b - a) / larger : 0;
}

int silhouette_measure(const float *rows, int64_t n, int64_t dim, const int64_t *labels, int64_t n_clusters,
                       int64_t n_sample, double *silhouette, Error *error)
{
    *silhouette = 0;
    if (n_clusters < 2)
        return 0;
    int64_t count = n_sample < 1 || n_sample > n ? n : n_sample;
    int64_t *sizes = mem_alloc((size_t)n_clusters, sizeof(int64_t));
    float *gathered = mem_alloc(SILHOUETTE_ROWS, (size_t)dim * sizeof(float));
    float *means = mem_try_alloc((size_t)n_clusters, (size_t)dim * sizeof(float), "cluster means", error);
    float *products =
        mem_try_alloc(SILHOUETTE_ROWS, (size_t)n_clusters * sizeof(float), "silhouette products", error);
    int status = means && products ? 0 : -1;
    double sum = 0;
    if (status == 0) {
        cluster_sizes(labels, n, n_clusters, sizes);
        average_rows(rows, n, dim, labels, sizes, n_clusters, means);
    }
    for (int64_t start = 0; start < count && status == 0; start += SILHOUETTE_ROWS) {
        int64_t block = count - start < SILHOUETTE_ROWS ? count - start : SILHOUETTE_ROWS;
        for (int64_t r = 0; r < block; r++)
            memcpy(gathered + r * dim, rows + (start + r) * n / count * dim, (size_t)dim * sizeof(float));
        gemm(false, true, block, n_clusters, dim, 1, gathered, dim, means, dim, 0, products, n_clusters);
        for (int64_t r = 0; r < block; r++)
            sum +=
                silhouette_of(products + r * n_clusters, labels[(start + r) * n / count], sizes, n_clusters);
    }
    *silhouette = sum / (double)count;
    mem_free(sizes);
    mem_free(gathered);
    mem_free(means);
    mem_free(products);
    return status;
}
