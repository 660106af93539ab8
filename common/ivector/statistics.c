#include "ivector/statistics.h"

#include <string.h>

#include "base/memory.h"
#include "tensor/gemm.h"

enum { BLOCK = 2048 }; // frames at a time

void ivector_statistics(const GmmScorer *scorer, const float *frames, int64_t n_frames, float *occupation,
                        float *sums)
{
    int64_t n = scorer->n, dim = scorer->dim;
    float *posteriors = mem_alloc((size_t)((n_frames < BLOCK ? n_frames : BLOCK) * n), sizeof(float));
    double *total = mem_zero((size_t)n, sizeof(double));
    memset(sums, 0, (size_t)(n * dim) * sizeof(float));
    for (int64_t start = 0; start < n_frames; start += BLOCK) {
        int64_t count = n_frames - start < BLOCK ? n_frames - start : BLOCK;
        const float *block = frames + start * dim;
        gmm_posteriors(scorer, block, count, IVECTOR_TOP, posteriors, NULL);
        gemm(true, false, n, dim, count, 1, posteriors, n, block, dim, 1, sums, dim);
        for (int64_t t = 0; t < count; t++)
            for (int64_t c = 0; c < n; c++)
                total[c] += posteriors[t * n + c];
    }
    for (int64_t c = 0; c < n; c++)
        occupation[c] = (float)total[c];
    mem_free(total);
    mem_free(posteriors);
}
