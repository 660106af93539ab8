#include "cluster/assign.h"

#include <inttypes.h>

#include "base/memory.h"
#include "score/cosine.h"
#include "tensor/gemm.h"

enum { BLOCK = 1024 }; // rows whose cosines are looked at together

static int normalise(const char *name, Embeddings *e, const char *when, Error *error)
{
    int64_t bad = rows_normalise(e->matrix, e->n, e->dim);
    if (bad < 0)
        return 0;
    return error_set(error, "%s: the embedding of %s is zero or not finite%s", name, e->utts[bad], when);
}

static int enter(const LabelSpace *space, const char *name, Embeddings *e, Error *error)
{
    if (e->dim != space->input_dim)
        return error_set(error,
                         "%s has embeddings of %" PRId64 " dimensions, the clusters are of %" PRId64
                         "; are they of one model?",
                         name, e->dim, space->input_dim);
    if (normalise(name, e, "", error) < 0)
        return -1;
    rows_subtract(e->matrix, e->n, e->dim, space->mean);
    if (space->directions) {
        float *rows = mem_try_alloc((size_t)(e->n * space->dim), sizeof(float), "whitening", error);
        if (!rows)
            return -1;
        gemm(false, true, e->n, space->dim, e->dim, 1, e->matrix, e->dim, space->directions, e->dim, 0, rows,
             space->dim);
        mem_free(e->matrix);
        e->matrix = rows;
        e->dim = space->dim;
    }
    return normalise(name, e, " among the clusters", error);
}

int assign_to_clusters(const LabelSpace *space, const char *name, Embeddings *e, int64_t *nearest,
                       float *cosines, Error *error)
{
    if (enter(space, name, e, error) < 0)
        return -1;
    int64_t n_clusters = space->n_clusters;
    float *scores = mem_try_alloc((size_t)(BLOCK * n_clusters), sizeof(float), "cosines", error);
    if (!scores)
        return -1;
    for (int64_t first = 0; first < e->n; first += BLOCK) {
        int64_t count = e->n - first < BLOCK ? e->n - first : BLOCK;
        gemm(false, true, count, n_clusters, e->dim, 1, e->matrix + first * e->dim, e->dim, space->centroids,
             e->dim, 0, scores, n_clusters);
        for (int64_t i = 0; i < count; i++) {
            const float *row = scores + i * n_clusters;
            int64_t best = 0;
            for (int64_t k = 1; k < n_clusters; k++)
                best = row[k] > row[best] ? k : best;
            nearest[first + i] = best;
            cosines[first + i] = row[best];
        }
    }
    mem_free(scores);
    return 0;
}
