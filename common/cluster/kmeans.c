#include "cluster/kmeans.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include <faiss/c_api/Clustering_c.h>
#include <faiss/c_api/IndexFlat_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>

#include "base/interrupt.h"
#include "base/memory.h"

enum { SEARCH_ROWS = 65536 }; // rows per call when labels are read back: an interrupt is seen between calls

KmeansOptions kmeans_defaults(int64_t n_centroids)
{
    return (KmeansOptions){.n_centroids = n_centroids, .n_iterations = 25, .n_redo = 1, .seed = 1};
}

// FAISS holds the centroids three times (current, best, index) and per row a distance and an index; we hold
// the result.
double kmeans_bytes(int64_t n, int64_t dim, int64_t n_centroids)
{
    double table = (double)n_centroids * (double)dim * sizeof(float);
    return 4 * table + (double)n * (sizeof(float) + 2 * sizeof(int64_t)) +
           (double)n_centroids * sizeof(int64_t);
}

static int faiss_failed(const char *what, Error *error)
{
    return error_set(error, "FAISS failed in %s: %s", what, faiss_get_last_error());
}

static int check_input(const float *rows, int64_t n, int64_t dim, const KmeansOptions *options, Error *error)
{
    int64_t k = options->n_centroids;
    if (k < 1 || k > n)
        return error_set(error, "k-means cannot make %lld centroids from %lld rows; ask for 1 to %lld",
                         (long long)k, (long long)n, (long long)n);
    if (k > INT_MAX || dim > INT_MAX || n / k >= INT_MAX)
        return error_set(error, "k-means of %lld rows to %lld centroids is beyond FAISS's 32-bit settings",
                         (long long)n, (long long)k);
    for (int64_t i = 0; i < n; i++) {
        double norm2 = 0;
        for (int64_t d = 0; d < dim; d++)
            norm2 += (double)rows[i * dim + d] * rows[i * dim + d];
        if (!isfinite(norm2))
            return error_set(error, "row %lld is not finite", (long long)i);
        if (options->spherical && fabs(norm2 - 1) > 1e-3)
            return error_set(error, "row %lld has length %.4g; spherical k-means needs length 1",
                             (long long)i, sqrt(norm2));
    }
    return 0;
}

static FaissClusteringParameters parameters_of(const KmeansOptions *options, int64_t n)
{
    FaissClusteringParameters parameters;
    faiss_ClusteringParameters_init(&parameters);
    parameters.niter = options->n_iterations;
    parameters.nredo = options->n_redo;
    parameters.spherical = options->spherical;
    parameters.seed = (int)(options->seed & INT_MAX);
    parameters.min_points_per_centroid = 1;
    parameters.max_points_per_centroid = (int)(n / options->n_centroids + 1); // all rows: no subsample
    return parameters;
}

// Fills labels, counts, objective and n_empty.
static int assign(const FaissIndex *index, const float *rows, int64_t n, int64_t dim, Kmeans *result,
                  Error *error)
{
    float *nearness = mem_alloc(n < SEARCH_ROWS ? (size_t)n : SEARCH_ROWS, sizeof(float));
    int status = 0;
    for (int64_t start = 0; start < n && status == 0; start += SEARCH_ROWS) {
        int64_t count = n - start < SEARCH_ROWS ? n - start : SEARCH_ROWS;
        if (interrupt_requested())
            status = interrupt_fail(error);
        else if (faiss_Index_search(index, count, rows + start * dim, 1, nearness, result->labels + start) !=
                 OK)
            status = faiss_failed("search", error);
        for (int64_t i = 0; i < count && status == 0; i++) {
            result->objective += nearness[i];
            result->counts[result->labels[start + i]]++;
        }
    }
    for (int64_t c = 0; c < result->n_centroids; c++)
        result->n_empty += result->counts[c] == 0;
    mem_free(nearness);
    return status;
}

static int train(FaissClustering *clustering, FaissIndex *index, const float *rows, int64_t n, int64_t dim,
                 Kmeans *result, Error *error)
{
    if (faiss_Clustering_train(clustering, n, rows, index) != OK)
        return faiss_failed("training", error);
    float *centroids;
    size_t n_floats;
    faiss_Clustering_centroids(clustering, &centroids, &n_floats);
    memcpy(result->centroids, centroids, n_floats * sizeof(float));
    return assign(index, rows, n, dim, result, error);
}

int kmeans(const float *rows, int64_t n, int64_t dim, const KmeansOptions *options, Kmeans *result,
           Error *error)
{
    if (check_input(rows, n, dim, options, error) < 0)
        return -1;
    int64_t k = options->n_centroids;
    FaissClusteringParameters parameters = parameters_of(options, n);
    FaissClustering *clustering = NULL;
    FaissIndexFlat *index = NULL;
    Kmeans made = {.n_centroids = k};
    int status = -1;
    made.centroids = mem_try_alloc((size_t)k, (size_t)dim * sizeof(float), "k-means centroids", error);
    made.labels = mem_try_alloc((size_t)n, sizeof(int64_t), "k-means labels", error);
    if (!made.centroids || !made.labels)
        goto cleanup;
    made.counts = mem_zero((size_t)k, sizeof(int64_t));
    if (faiss_Clustering_new_with_params(&clustering, (int)dim, (int)k, &parameters) != OK ||
        faiss_IndexFlat_new_with(&index, dim, options->spherical ? METRIC_INNER_PRODUCT : METRIC_L2) != OK) {
        faiss_failed("set-up", error);
        goto cleanup;
    }
    status = train(clustering, index, rows, n, dim, &made, error);
cleanup:
    faiss_Index_free(index);
    if (clustering)
        faiss_Clustering_free(clustering);
    if (status == 0)
        *result = made;
    else
        kmeans_release(&made);
    return status;
}

void kmeans_release(Kmeans *result)
{
    mem_free(result->centroids);
    mem_free(result->labels);
    mem_free(result->counts);
    *result = (Kmeans){0};
}
