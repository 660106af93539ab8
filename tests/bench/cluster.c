// Seconds of Ward agglomeration (10 000 x 192) and of k-means (100 000 x 192, 5 000 centroids, 10
// iterations). `bench_cluster [WARD_POINTS [KMEANS_ROWS]]`: 0 leaves a part out.
#include <stdio.h>
#include <stdlib.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cluster/agglomerate.h"
#include "cluster/kmeans.h"
#include "score/cosine.h"
#include "tensor/gemm.h"

enum { DIM = 192, ROWS_PER_SPEAKER = 10, ROWS_PER_CENTROID = 20, ITERATIONS = 10 };

// Groups of ten around random directions: what agglomeration meets.
static float *made_rows(int64_t n)
{
    float *rows = mem_alloc((size_t)n, DIM * sizeof(float));
    Rng rng = rng_stream(1, "bench cluster", 0, 0);
    double voice[DIM] = {0};
    for (int64_t i = 0; i < n; i++)
        for (int d = 0; d < DIM; d++) {
            if (i % ROWS_PER_SPEAKER == 0)
                voice[d] = rng_normal(&rng);
            rows[i * DIM + d] = (float)(voice[d] + rng_normal(&rng));
        }
    rows_normalise(rows, n, DIM);
    return rows;
}

static int bench_ward(int64_t n, Error *error)
{
    float *rows = made_rows(n);
    Dendrogram dendrogram;
    double start = clock_seconds(), flop = gemm_flop_count();
    if (agglomerate(rows, NULL, n, DIM, LINKAGE_WARD, &dendrogram, error) < 0)
        return -1;
    double seconds = clock_seconds() - start;
    printf("ward %lld x %d: %.2f s, %.1f GFLOP/s in products, planned %.0f MB\n", (long long)n, DIM, seconds,
           1e-9 * (gemm_flop_count() - flop) / seconds, 1e-6 * agglomerate_bytes(n, DIM));
    dendrogram_release(&dendrogram);
    mem_free(rows);
    return 0;
}

static int bench_kmeans(int64_t n, Error *error)
{
    float *rows = made_rows(n);
    KmeansOptions options = kmeans_defaults(n / ROWS_PER_CENTROID);
    options.n_iterations = ITERATIONS;
    options.spherical = true;
    Kmeans found;
    double start = clock_seconds();
    if (kmeans(rows, n, DIM, &options, &found, error) < 0)
        return -1;
    printf("k-means %lld x %d, %lld centroids, %d iterations and labels: %.2f s, %lld empty\n", (long long)n,
           DIM, (long long)options.n_centroids, ITERATIONS, clock_seconds() - start,
           (long long)found.n_empty);
    kmeans_release(&found);
    mem_free(rows);
    return 0;
}

int main(int argc, char **argv)
{
    int64_t n_ward = argc > 1 ? atoll(argv[1]) : 10000, n_kmeans = argc > 2 ? atoll(argv[2]) : 100000;
    Error error = {0};
    if ((n_ward > 0 && bench_ward(n_ward, &error) < 0) ||
        (n_kmeans > 0 && bench_kmeans(n_kmeans, &error) < 0)) {
        fprintf(stderr, "bench_cluster: %s\n", error.text);
        return 1;
    }
    printf("peak memory %.0f MB\n", 1e-6 * (double)mem_peak_bytes());
    return 0;
}
