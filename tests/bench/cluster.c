// Ward agglomeration of 10 000 x 192, k-means of 100 000 x 192 to 5 000 centroids in 10 iterations.
// `bench_cluster WARD_POINTS` does the first alone with another size.
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/process.h"
#include "base/rng.h"
#include "base/threads.h"
#include "bench.h"
#include "cluster/agglomerate.h"
#include "cluster/kmeans.h"
#include "score/cosine.h"

enum {
    DIM = 192,
    ROWS_PER_SPEAKER = 10,
    N_WARD = 10000,
    N_KMEANS = 100000,
    N_CENTROIDS = 5000,
    ITERATIONS = 10
};

typedef struct Rows {
    float *values; // [n, DIM]
    int64_t n;
} Rows;

// Groups of ten around random directions: what agglomeration meets.
static Rows made_rows(int64_t n)
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
    return (Rows){rows, n};
}

static void stop_on(int status, const Error *error)
{
    if (status == 0)
        return;
    fprintf(stderr, "bench_cluster: %s\n", error->text);
    exit(1);
}

static void ward(void *context)
{
    const Rows *rows = context;
    Dendrogram dendrogram;
    Error error = {0};
    stop_on(agglomerate(rows->values, NULL, rows->n, DIM, LINKAGE_WARD, &dendrogram, &error), &error);
    dendrogram_release(&dendrogram);
}

static void k_means(void *context)
{
    const Rows *rows = context;
    KmeansOptions options = kmeans_defaults(N_CENTROIDS);
    options.n_iterations = ITERATIONS;
    options.spherical = true;
    Kmeans found;
    Error error = {0};
    stop_on(kmeans(rows->values, rows->n, DIM, &options, &found, &error), &error);
    kmeans_release(&found);
}

static void bench(const char *what, int64_t n, int n_runs, void (*run)(void *context))
{
    Rows rows = made_rows(n);
    char name[100];
    snprintf(name, sizeof name, "%s, %lld x %d", what, (long long)n, DIM);
    bench_run(name, n_runs, run, &rows);
    mem_free(rows.values);
}

int main(int argc, char **argv)
{
    process_settle(argv);
    threads_set(0);
    bench("Ward agglomeration", argc > 1 ? atoll(argv[1]) : N_WARD, argc > 1 ? 1 : 3, ward);
    if (argc == 1)
        bench("k-means (FAISS), 5 000 centroids, 10 iterations and labels", N_KMEANS, 1, k_means);
    return 0;
}
