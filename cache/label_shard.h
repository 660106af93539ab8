// A label shard, what a round of clustering leaves: utt2spk (utterance and pseudo-speaker, "c00012", a line
// each), centroids.npy [clusters, dim], merges.npy [points - 1, 4], the dendrogram in scipy's rows (two
// nodes, height, size), and how an embedding gets to where the centroids are: mean.npy [1, input_dim] and,
// where it was whitened, directions.npy [dim, input_dim] (cache/label_space.h reads these).
#pragma once
#include <stdint.h>
#include "base/error.h"
#include "cache/lists.h"

typedef struct LabelShard {
    char *const *utts;  // [n], sorted
    const int64_t *ids; // [n] number of each one's pseudo-speaker
    int64_t n;
    const float *centroids; // [n_clusters, dim], by number
    int64_t n_clusters, dim;
    const float *merges; // [n_merges, 4], or NULL
    int64_t n_merges;
    const float *mean;       // [input_dim]
    const float *directions; // [dim, input_dim], or NULL
    int64_t input_dim;
} LabelShard;

int label_shard_publish(const char *path, const LabelShard *labels, Error *error);
// Its utt2spk; the caller frees with labels_release().
int label_shard_load(const char *path, LabelList *labels, Error *error);
// A label shard, or a list that a user brings (lists.h), which can be about known_utts [n_known, sorted].
int labels_load_any(const char *path, char *const *known_utts, int64_t n_known, LabelList *labels,
                    Error *error);
// The number in "c00012"; -1 for names that are not ours.
int64_t label_shard_number(const char *name);
