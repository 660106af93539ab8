// k-means by FAISS, through its C API. Settings that FAISS would decide silently are set here: nothing is
// subsampled, nothing warns about few points per centroid. Spherical k-means wants unit rows: FAISS
// normalises its centroids but not the data, so kmeans() checks the data.
//
// Results depend on the seed, and in the last bits on the number of threads and the BLAS build.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

typedef struct KmeansOptions {
    int64_t n_centroids;
    int n_iterations; // 25
    int n_redo;       // 1: runs with different starts; the best is kept
    bool spherical;   // cosine: rows must have length 1
    int64_t seed;
} KmeansOptions;

KmeansOptions kmeans_defaults(int64_t n_centroids);

typedef struct Kmeans {
    float *centroids; // [n_centroids, dim]; length 1 when spherical
    int64_t *labels;  // [n], the nearest centroid
    int64_t *counts;  // [n_centroids], rows per centroid
    int64_t n_centroids, n_empty;
    double objective; // sum over rows of the squared distance, or of the cosine when spherical
} Kmeans;

double kmeans_bytes(int64_t n, int64_t dim, int64_t n_centroids); // beyond the rows themselves
// rows [n, dim], n >= n_centroids.
int kmeans(const float *rows, int64_t n, int64_t dim, const KmeansOptions *options, Kmeans *result,
           Error *error);
void kmeans_release(Kmeans *result);
