#include "base/threads.h"

#include <cblas.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

void threads_set(int n)
{
    int count = n > 0 ? n : omp_get_num_procs();
    omp_set_num_threads(count);
    openblas_set_num_threads(count);
}

int threads_count(void)
{
    return omp_get_max_threads();
}

void threads_each(int64_t n_items, int at_once, void (*work)(void *context, int64_t item, int worker),
                  void *context)
{
    int count = threads_count(), n_workers = at_once < count ? at_once : count;
    int64_t next = 0;
    // In a team of two or more the loops and OpenBLAS take one thread each. So a lone worker gets an idle
    // mate.
#pragma omp parallel num_threads(n_workers == 1 && count > 1 ? 2 : n_workers)
    {
        int worker = omp_get_thread_num();
        omp_set_num_threads(1); // of this task: scratch memory is for one
        while (worker < n_workers) {
            int64_t item;
#pragma omp atomic capture
            item = next++;
            if (item >= n_items)
                break;
            work(context, item, worker);
        }
    }
}

static const char *instruction_set(void)
{
#if defined(__AVX512F__)
    return "AVX-512";
#elif defined(__AVX2__)
    return "AVX2";
#elif defined(__ARM_NEON)
    return "NEON";
#else
    return "no vector extensions";
#endif
}

static const char *blas_threading(void)
{
    switch (openblas_get_parallel()) {
    case OPENBLAS_OPENMP:
        return "OpenMP";
    case OPENBLAS_THREAD:
        return "pthread";
    default:
        return "sequential";
    }
}

const char *threads_complaint(void)
{
    if (openblas_get_parallel() == OPENBLAS_OPENMP)
        return NULL;
    return "the linked OpenBLAS is not its OpenMP build, so products are slower; install libopenblas0-openmp";
}

// openblas_get_config(): "OpenBLAS 0.3.21 DYNAMIC_ARCH ..."; the version is its second word.
const char *threads_describe(void)
{
    static char text[256];
    char version[32] = "of unknown version";
    sscanf(openblas_get_config(), "OpenBLAS %31s", version);
    int count = threads_count();
    snprintf(text, sizeof text, "%d thread%s, OpenBLAS %s (%s, %s), %s", count, count == 1 ? "" : "s",
             version, blas_threading(), openblas_get_corename(), instruction_set());
    return text;
}
