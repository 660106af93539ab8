#include "cluster/stable_labels.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

typedef struct Overlap {
    int64_t previous, cluster, count;
} Overlap;

static int compare_pairs(const void *a, const void *b)
{
    const Overlap *x = a, *y = b;
    if (x->previous != y->previous)
        return x->previous < y->previous ? -1 : 1;
    return (x->cluster > y->cluster) - (x->cluster < y->cluster);
}

static int compare_largest_first(const void *a, const void *b)
{
    const Overlap *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return compare_pairs(a, b);
}

static int compare_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static Overlap *count_overlaps(const int64_t *labels, const int64_t *previous, int64_t n, int64_t *n_overlaps)
{
    Overlap *overlaps = mem_alloc((size_t)n, sizeof(Overlap));
    int64_t n_shared = 0, used = 0;
    for (int64_t i = 0; i < n; i++)
        if (previous[i] >= 0)
            overlaps[n_shared++] = (Overlap){previous[i], labels[i], 1};
    qsort(overlaps, (size_t)n_shared, sizeof(Overlap), compare_pairs);
    for (int64_t i = 0; i < n_shared; i++) {
        if (used > 0 && compare_pairs(&overlaps[used - 1], &overlaps[i]) == 0)
            overlaps[used - 1].count++;
        else
            overlaps[used++] = overlaps[i];
    }
    qsort(overlaps, (size_t)used, sizeof(Overlap), compare_largest_first);
    *n_overlaps = used;
    return overlaps;
}

// sorted: the used numbers, ascending
static int64_t position(const int64_t *sorted, int64_t n, int64_t value)
{
    const int64_t *found = bsearch(&value, sorted, (size_t)n, sizeof(int64_t), compare_int64);
    return found ? found - sorted : -1;
}

static void number_the_rest(const int64_t *sorted, int64_t n_used, int64_t *ids, int64_t n_clusters)
{
    int64_t next = 0, at = 0;
    for (int64_t c = 0; c < n_clusters; c++) {
        if (ids[c] >= 0)
            continue;
        while (at < n_used && sorted[at] <= next) {
            next += sorted[at] == next;
            at++;
        }
        ids[c] = next++;
    }
}

int64_t stable_label_ids(const int64_t *labels, const int64_t *previous, int64_t n, int64_t n_clusters,
                         const int64_t *used, int64_t n_used, int64_t *ids)
{
    int64_t n_overlaps, kept = 0;
    Overlap *overlaps = count_overlaps(labels, previous, n, &n_overlaps);
    int64_t *sorted = mem_alloc((size_t)n_used, sizeof(int64_t));
    bool *taken = mem_zero((size_t)n_used, sizeof(bool));
    for (int64_t i = 0; i < n_used; i++)
        sorted[i] = used[i];
    qsort(sorted, (size_t)n_used, sizeof(int64_t), compare_int64);
    for (int64_t c = 0; c < n_clusters; c++)
        ids[c] = -1;
    for (int64_t o = 0; o < n_overlaps; o++) {
        int64_t place = position(sorted, n_used, overlaps[o].previous);
        if (place < 0 || taken[place] || ids[overlaps[o].cluster] >= 0)
            continue;
        ids[overlaps[o].cluster] = overlaps[o].previous;
        taken[place] = true;
        kept++;
    }
    number_the_rest(sorted, n_used, ids, n_clusters);
    mem_free(overlaps);
    mem_free(sorted);
    mem_free(taken);
    return kept;
}
