// How many clusters? A sweep over candidate counts, each a cut of one dendrogram, with what speaks for and
// against it; the choice and its reason in words.
//
// For average linkage, the rule is cohesion. There a merge joins two clusters whose points have a mean cosine
// c. Inside the clusters of a cut a point has a mean cosine rho with the others of its own. Two pieces of one
// speaker are about as alike as the parts of either, so c is near rho; two speakers are not alike at all. So
// merges are made down to c = 0.59 rho, both measured at that very cut: from fine to coarse, until one holds.
// Nothing is assumed about sizes. Two clusters at least.
//
// For Ward's linkage, whose heights grow with the sizes, the rule is the largest mean silhouette in cosine
// distance. A silhouette of a row compares its own cluster (without itself) with the nearest other one:
// splitting a speaker makes the other half the nearest, merging two makes the own cluster wide, so both lower
// it. Where speakers overlap, a second peak rises at clusters of two or three: their members are each other's
// nearest neighbours by choice. So a peak before the largest is taken when it reaches 85 % of it and the
// curve falls by 2 % behind it.
//
// The grid of the sweep is geometric over the whole range; for the silhouette it is refined around the best
// until neighbours differ by about 2 %.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "cluster/agglomerate.h"
#include "cluster/stability.h"

typedef struct SweepRow {
    int64_t n_clusters;
    double silhouette;
    int64_t singletons, smallest, median, largest; // cluster sizes, in samples
    double height;                                 // the next merge's, a distance
    double gap;                                    // its ratio to the merge before, minus 1
    double agreement;                              // across parts (cluster/stability.h); NAN: not measured
    bool chosen;
} SweepRow;

typedef struct Sweep {
    SweepRow *rows; // by n_clusters
    int64_t n_rows;
    int64_t n_clusters; // the choice
    char reason[384];
} Sweep;

// Tries 2 to `most` clusters (at least 3): points that are the same but for rounding are never taken apart
// when it counts those that differ. rows [n, dim] of length 1. point_of [n] says which dendrogram point a row
// belongs to; NULL: row i is point i. points [n_points, dim]: those of a dendrogram of average linkage; NULL:
// Ward's. n_sample as for silhouette_measure(). stability: of the dendrogram's points; NULL: not measured.
int choose_clusters(const Dendrogram *dendrogram, int64_t most, const float *points, const float *rows,
                    int64_t n, int64_t dim, const int64_t *point_of, int64_t n_sample,
                    const Stability *stability, Sweep *sweep, Error *error);
void sweep_release(Sweep *sweep);
