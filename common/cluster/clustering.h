// Embeddings to clusters: whitening, k-means to centroids where there are many rows (FAISS), agglomeration of
// these, a cut by count, by threshold or by evidence. Equal embeddings are one point, whatever the way, and
// end in one cluster.
#pragma once
#include <stdbool.h>

#include "cache/embeddings.h"
#include "cluster/agglomerate.h"
#include "cluster/choose_clusters.h"

enum { SILHOUETTE_ROWS = 20000 }; // of so many rows at most it is measured

typedef struct ClusteringOptions {
    const char *name;  // of the embeddings' file, for errors
    int64_t whiten;    // principal directions to keep at most; 0: do not whiten
    bool center;       // instead: subtract the mean
    int64_t centroids; // of k-means; 0: 50 000, or every row where there are fewer
    int64_t iterations, redo;
    bool weighted;                                   // centroids count as many as they stand for
    const char *linkage;                             // "ward" or "average"
    const char *clusters;                            // a count, or "auto"
    double threshold_distance, threshold_similarity; // instead of a count; NAN: not given
    int64_t stability_points; // with auto: of so many points at most, random parts are compared
    int64_t min_size;         // smaller clusters are dropped
    int64_t seed;
} ClusteringOptions;

typedef struct Clustering {
    Embeddings embeddings; // as they were clustered, rows of length 1; without those of dropped clusters
    // How others get there: from length 1, less the mean [input_dim] (zero where nothing was subtracted),
    // along the directions [dim, input_dim] (NULL: as they are), to length 1.
    float *mean, *directions;
    int64_t input_dim;
    int64_t *point_of; // [n] the centroid of an utterance; NULL: utterances are the points
    float *points;     // [n_points, dim]
    double *weights;   // [n_points] or NULL
    int64_t n_points;
    Dendrogram dendrogram;
    Sweep sweep;     // without rows unless auto
    int64_t *labels; // [n]
    int64_t n_clusters;
    int64_t n_small, n_dropped; // clusters below min_size, and their utterances
} Clustering;

ClusteringOptions clustering_defaults(void); // with `auto`; without a name

// How many points are agglomerated of n rows.
int64_t clustering_points(const ClusteringOptions *options, int64_t n);

// c: holds the embeddings, all else zero. classes [n]: numbers of any meaning, kept in step with the rows.
// Logs each part before it takes its memory.
int cluster_embeddings(const ClusteringOptions *options, Clustering *c, int64_t *classes, Error *error);
void clustering_release(Clustering *c);
