#include "cache/label_space.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cache/label_shard.h"
#include "cache/npy.h"
#include "cache/shard.h"

static int load_matrix(const ShardReader *reader, const char *path, const char *member, float **matrix,
                       int64_t *rows, int64_t *cols, Error *error)
{
    char *data = NULL, *name = mem_printf("%s: %s", path, member);
    size_t n_bytes;
    int status = shard_reader_load(reader, member, &data, &n_bytes, error);
    if (status == 0)
        status = npy_decode(name, data, n_bytes, matrix, rows, cols, error);
    mem_free(data);
    mem_free(name);
    return status;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// The pseudo-speakers' numbers, in the order of the centroids.
static int load_ids(const char *path, LabelSpace *space, Error *error)
{
    LabelList list;
    if (label_shard_load(path, &list, error) < 0)
        return -1;
    int status = 0;
    if (list.n_labels != space->n_clusters)
        status = error_set(error,
                           "%s has %" PRId64 " pseudo-speakers and %" PRId64
                           " centroids; it takes a shard of voxloop-cluster",
                           path, list.n_labels, space->n_clusters);
    space->ids = mem_alloc((size_t)list.n_labels + 1, sizeof(int64_t));
    for (int64_t k = 0; k < list.n_labels && status == 0; k++)
        if ((space->ids[k] = label_shard_number(list.names[k])) < 0)
            status = error_set(error, "%s is damaged: %s is no pseudo-speaker; make it again", path,
                               list.names[k]);
    if (status == 0)
        qsort(space->ids, (size_t)list.n_labels, sizeof(int64_t), compare_ids);
    labels_release(&list);
    return status;
}

static int load_space(const ShardReader *reader, const char *path, LabelSpace *space, Error *error)
{
    int64_t one, rows, cols;
    if (shard_reader_find(reader, "mean.npy") < 0)
        return error_set(error,
                         "%s was left by an earlier version, which did not keep how embeddings get to its "
                         "clusters; cluster again",
                         path);
    if (load_matrix(reader, path, "centroids.npy", &space->centroids, &space->n_clusters, &space->dim,
                    error) < 0 ||
        load_matrix(reader, path, "mean.npy", &space->mean, &one, &space->input_dim, error) < 0)
        return -1;
    rows = space->dim;
    cols = space->input_dim;
    if (shard_reader_find(reader, "directions.npy") < 0)
        rows = space->input_dim;
    else if (load_matrix(reader, path, "directions.npy", &space->directions, &rows, &cols, error) < 0)
        return -1;
    if (one != 1 || rows != space->dim || cols != space->input_dim)
        return error_set(error, "%s is damaged: its centroids, mean and directions do not fit; make it again",
                         path);
    return load_ids(path, space, error);
}

int label_space_load(const char *path, LabelSpace *space, Error *error)
{
    *space = (LabelSpace){0};
    ShardReader *reader = shard_reader_open(path, error);
    if (!reader)
        return -1;
    int status = load_space(reader, path, space, error);
    shard_reader_close(reader);
    if (status < 0)
        label_space_release(space);
    return status;
}

void label_space_release(LabelSpace *space)
{
    mem_free(space->mean);
    mem_free(space->directions);
    mem_free(space->centroids);
    mem_free(space->ids);
    *space = (LabelSpace){0};
}
