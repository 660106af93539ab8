#include "cluster/same_rows.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

typedef struct Hashed {
    uint64_t hash;
    int64_t row;
} Hashed;

static int compare_hashes(const void *a, const void *b)
{
    const Hashed *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

// FNV-1a over the numbers' bits.
static uint64_t hash_row(const float *row, int64_t dim)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int64_t d = 0; d < dim; d++) {
        float value = row[d] + 0.0f; // -0 becomes 0
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        hash = (hash ^ bits) * 0x100000001b3u;
    }
    return hash ^ hash >> 32;
}

static bool are_equal(const float *a, const float *b, int64_t dim)
{
    for (int64_t d = 0; d < dim; d++)
        if (a[d] != b[d])
            return false;
    return true;
}

// The first row of those with this hash (sorted[from] is the first of them) that equals sorted[i]'s.
static int64_t first_equal(const float *rows, int64_t dim, const Hashed *sorted, int64_t from, int64_t i)
{
    const float *row = rows + sorted[i].row * dim;
    for (int64_t j = from; j < i; j++)
        if (are_equal(rows + sorted[j].row * dim, row, dim))
            return sorted[j].row;
    return sorted[i].row;
}

int64_t same_rows(const float *rows, int64_t n, int64_t dim, int64_t *group)
{
    Hashed *sorted = mem_alloc((size_t)n, sizeof(Hashed));
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (Hashed){hash_row(rows + i * dim, dim), i};
    qsort(sorted, (size_t)n, sizeof(Hashed), compare_hashes);
    for (int64_t i = 0, from = 0; i < n; i++) {
        if (sorted[i].hash != sorted[from].hash)
            from = i;
        group[sorted[i].row] = first_equal(rows, dim, sorted, from, i);
    }
    mem_free(sorted);
    int64_t n_groups = 0;
    for (int64_t i = 0; i < n; i++) // the first of its kind comes before all others
        group[i] = group[i] == i ? n_groups++ : group[group[i]];
    return n_groups;
}
