#include "sgemm_peak.h"

#include <stddef.h>

#include "base/files.h"
#include "base/memory.h"
#include "tensor/gemm.h"

enum { SIZE = 2048, REPEATS = 6 };

double sgemm_peak(void)
{
    size_t n = (size_t)SIZE * SIZE;
    float *a = mem_zero(n, sizeof *a), *b = mem_zero(n, sizeof *b), *c = mem_zero(n, sizeof *c);
    double best = 0;
    for (int i = 0; i < REPEATS; i++) {
        double start = clock_seconds(), before = gemm_flop_count();
        gemm(false, false, SIZE, SIZE, SIZE, 1, a, SIZE, b, SIZE, 0, c, SIZE);
        double rate = (gemm_flop_count() - before) / (clock_seconds() - start);
        best = rate > best ? rate : best;
    }
    mem_free(a);
    mem_free(b);
    mem_free(c);
    return best;
}
