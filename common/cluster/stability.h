// Do the clusters depend on which points happened to be there? Pairs of random parts of the points, each
// agglomerated on its own and cut as the whole was, are compared where they overlap: the adjusted Rand index
// of the two labellings.
//
// A part holds 80 % of the points, drawn without replacement; two of them share about 64 %. A cut of the
// whole into k clusters leaves some with no point in the part, so a part is cut into as many clusters as the
// whole's cut has there.
#pragma once
#include <stdint.h>
#include "base/error.h"
#include "cluster/agglomerate.h"

enum { STABILITY_PAIRS = 3 };

typedef struct StabilityPart {
    int64_t *members; // [n] points of the whole, ascending
    int64_t n;
    Dendrogram dendrogram;
} StabilityPart;

typedef struct Stability {
    StabilityPart parts[2 * STABILITY_PAIRS]; // 2 i and 2 i + 1 are a pair
    int64_t n_points;
} Stability;

// points and weights as for agglomerate(); agglomerates 2 * STABILITY_PAIRS times.
int stability_begin(const float *points, const double *weights, int64_t n, int64_t dim, Linkage linkage,
                    int64_t seed, Stability *stability, Error *error);
void stability_release(Stability *stability); // zeroed or begun
// labels [n_points] of the whole's cut, 0 .. n_clusters-1 -> the mean over the pairs, about 0 for chance and
// 1 for the same clusters whatever the part.
double stability_measure(const Stability *stability, const int64_t *labels, int64_t n_clusters);
