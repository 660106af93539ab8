// The clusters of a label shard as places: its centroids, and what an embedding goes through to be compared
// with them. To length 1, less the mean, along the directions, to length 1 again.
#pragma once
#include <stdint.h>
#include "base/error.h"

typedef struct LabelSpace {
    float *mean;       // [input_dim]
    float *directions; // [dim, input_dim]; NULL: dim is input_dim
    float *centroids;  // [n_clusters, dim], of length 1
    int64_t *ids;      // [n_clusters] number of each one's pseudo-speaker, ascending
    int64_t input_dim, dim, n_clusters;
} LabelSpace;

// An error names the shard, and says so where an earlier version of voxloop left it, which kept no mean.
int label_space_load(const char *path, LabelSpace *space, Error *error);
void label_space_release(LabelSpace *space);
