// The part of FAISS's C API that kmeans.c calls, for systems whose libfaiss comes without the C API's objects
// (Debian's does). Declarations are FAISS's own headers (faiss/c_api); these are thin bodies over its C++
// classes. Exceptions become the C API's error codes and faiss_get_last_error(). CMake leaves this file out
// where libfaiss_c exists.
#include <cstring>
#include <exception>
#include <string>

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <faiss/impl/FaissException.h>
#include <faiss/c_api/Clustering_c.h>
#include <faiss/c_api/IndexFlat_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>

namespace
{
thread_local std::string last_error;

template <typename Body> int guarded(Body body)
{
    try {
        body();
        return OK;
    } catch (const faiss::FaissException &e) {
        last_error = e.what();
        return FAISS_EXCEPT;
    } catch (const std::exception &e) {
        last_error = e.what();
        return STD_EXCEPT;
    } catch (...) {
        last_error = "unknown exception";
        return UNKNOWN_EXCEPT;
    }
}

faiss::ClusteringParameters parameters_from_c(const FaissClusteringParameters &c)
{
    faiss::ClusteringParameters p;
    p.niter = c.niter;
    p.nredo = c.nredo;
    p.verbose = c.verbose != 0;
    p.spherical = c.spherical != 0;
    p.int_centroids = c.int_centroids != 0;
    p.update_index = c.update_index != 0;
    p.frozen_centroids = c.frozen_centroids != 0;
    p.min_points_per_centroid = c.min_points_per_centroid;
    p.max_points_per_centroid = c.max_points_per_centroid;
    p.seed = c.seed;
    p.decode_block_size = c.decode_block_size;
    return p;
}

faiss::Clustering *cpp(FaissClustering *clustering)
{
    return reinterpret_cast<faiss::Clustering *>(clustering);
}
faiss::Index *cpp(FaissIndex *index)
{
    return reinterpret_cast<faiss::Index *>(index);
}
} // namespace

extern "C" {

const char *faiss_get_last_error()
{
    return last_error.c_str();
}

void faiss_ClusteringParameters_init(FaissClusteringParameters *params)
{
    const faiss::ClusteringParameters d;
    params->niter = d.niter;
    params->nredo = d.nredo;
    params->verbose = d.verbose;
    params->spherical = d.spherical;
    params->int_centroids = d.int_centroids;
    params->update_index = d.update_index;
    params->frozen_centroids = d.frozen_centroids;
    params->min_points_per_centroid = d.min_points_per_centroid;
    params->max_points_per_centroid = d.max_points_per_centroid;
    params->seed = d.seed;
    params->decode_block_size = d.decode_block_size;
}

int faiss_Clustering_new_with_params(FaissClustering **p_clustering, int d, int k,
                                     const FaissClusteringParameters *cp)
{
    return guarded([&] {
        auto *made = new faiss::Clustering(d, k, parameters_from_c(*cp));
        *p_clustering = reinterpret_cast<FaissClustering *>(made);
    });
}

int faiss_Clustering_train(FaissClustering *clustering, idx_t n, const float *x, FaissIndex *index)
{
    return guarded([&] { cpp(clustering)->train(n, x, *cpp(index)); });
}

void faiss_Clustering_centroids(FaissClustering *clustering, float **centroids, size_t *size)
{
    *centroids = cpp(clustering)->centroids.data();
    if (size)
        *size = cpp(clustering)->centroids.size();
}

void faiss_Clustering_free(FaissClustering *clustering)
{
    delete cpp(clustering);
}

int faiss_IndexFlat_new_with(FaissIndexFlat **p_index, idx_t d, FaissMetricType metric)
{
    return guarded([&] {
        auto *made = new faiss::IndexFlat(d, static_cast<faiss::MetricType>(metric));
        *p_index = reinterpret_cast<FaissIndexFlat *>(made);
    });
}

int faiss_Index_search(const FaissIndex *index, idx_t n, const float *x, idx_t k, float *distances,
                       idx_t *labels)
{
    return guarded(
        [&] { reinterpret_cast<const faiss::Index *>(index)->search(n, x, k, distances, labels); });
}

void faiss_Index_free(FaissIndex *index)
{
    delete cpp(index);
}

} // extern "C"
