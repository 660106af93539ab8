// Agglomerative clustering without a distance matrix.
//
// Both linkages offered here are functions of two means and two sizes, so a cluster is one row of `dim`
// floats and memory is O(n dim), never O(n^2):
//
//     ward     height = sqrt(2 |a||b| / (|a|+|b|)) * ||mean_a - mean_b||      (scipy's and scikit-learn's)
//     average  height = 1 - mean_a . mean_b    mean pairwise cosine distance of L2-normalised points (UPGMA)
//
// Both are reducible (Murtagh 1983): a merge never brings two others closer than they were, so every pair of
// reciprocal nearest neighbours can be merged at once and the result is the dendrogram of the greedy
// algorithm. Equal points are 0 apart and no height is negative. This is the nearest-neighbour chain run from
// all points together: each round asks for the nearest neighbours of many clusters, which is one matrix
// product. Near ties are decided in double precision.
//
// Indices are 64 bits. The result does not depend on the number of threads.
#pragma once
#include <stdint.h>
#include "base/error.h"

typedef enum Linkage { LINKAGE_WARD, LINKAGE_AVERAGE } Linkage;

// One row of the dendrogram as scipy writes it: nodes 0..n-1 are the points, n+i is the result of merge i.
typedef struct Merge {
    int64_t first, second; // first < second
    double height;         // non-decreasing over the rows
    double size;           // points (sum of weights) below
} Merge;

typedef struct Dendrogram {
    Merge *merges; // [n_points - 1]
    int64_t n_points;
} Dendrogram;

// points [n, dim], finite; for average linkage already L2-normalised (or means of such: then with weights).
// weights [n] > 0: how many samples a point stands for; NULL: one each. n >= 1.
int agglomerate(const float *points, const double *weights, int64_t n, int64_t dim, Linkage linkage,
                Dendrogram *dendrogram, Error *error);
void dendrogram_release(Dendrogram *dendrogram);

double agglomerate_bytes(int64_t n, int64_t dim); // what agglomerate() takes at its peak

// labels [n_points], numbered by first appearance; 1 <= n_clusters <= n_points.
void dendrogram_cut(const Dendrogram *dendrogram, int64_t n_clusters, int64_t *labels);
// Clusters left when every merge up to this height (a distance) is made.
int64_t dendrogram_count_at(const Dendrogram *dendrogram, double height);
// The height at which n_clusters become n_clusters - 1; 0 for n_clusters = 1.
double dendrogram_height(const Dendrogram *dendrogram, int64_t n_clusters);
