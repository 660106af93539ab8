// How good a clustering is: against true classes or another clustering (agreement), and from the embeddings
// alone (silhouette). Labels are any int64 values >= 0; all counts are exact, in O(n log n).
#pragma once
#include <stdint.h>
#include "base/error.h"

// Definitions as in scikit-learn; "class" is the reference side, "cluster" the judged one.
typedef struct Agreement {
    double nmi;            // mutual information / arithmetic mean of the entropies
    double ari;            // adjusted Rand index
    double homogeneity;    // 1 - H(class | cluster) / H(class)
    double completeness;   // 1 - H(cluster | class) / H(cluster)
    double v_measure;      // harmonic mean of the two
    double purity;         // samples of their cluster's largest class / samples
    double pair_precision; // same class among pairs of the same cluster
    double pair_recall;    // same cluster among pairs of the same class
    double pair_f1;
} Agreement;

void agreement_measure(const int64_t *classes, const int64_t *clusters, int64_t n, Agreement *agreement);
// The same over those whose class is known (>= 0). Returns how many these are; none: all is 0.
int64_t agreement_measure_known(const int64_t *classes, const int64_t *clusters, int64_t n,
                                Agreement *agreement);

// Sizes of clusters 0 .. n_clusters-1.
void cluster_sizes(const int64_t *labels, int64_t n, int64_t n_clusters, int64_t *sizes);
int64_t count_singletons(const int64_t *sizes, int64_t n_clusters);

// Mean silhouette in cosine distance over `n_sample` rows evenly spread over all n (all when 0 or > n). Exact
// per row: for rows of length 1 the mean cosine distance to a cluster is 1 - row . mean(cluster), so it needs
// n_sample x n_clusters products and O(n dim) memory. A singleton's silhouette is 0 (Rousseeuw 1987), as is
// that of a row at no distance from its own cluster and another one. 0 for one cluster. Always in [-1, 1].
int silhouette_measure(const float *rows, int64_t n, int64_t dim, const int64_t *labels, int64_t n_clusters,
                       int64_t n_sample, double *silhouette, Error *error);
