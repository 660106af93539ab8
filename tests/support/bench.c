#include "bench.h"

#include <stddef.h>
#include <stdio.h>

#include "base/files.h"
#include "base/memory.h"
#include "tensor/gemm.h"

enum { SIZE = 2048, PRODUCTS = 6 };

static double larger(double a, double b)
{
    return a > b ? a : b;
}

// FLOP/s of the fastest of a few products.
static double sgemm_peak(void)
{
    size_t n = (size_t)SIZE * SIZE;
    float *a = mem_zero(n, sizeof *a), *b = mem_zero(n, sizeof *b), *c = mem_zero(n, sizeof *c);
    double best = 0;
    for (int i = 0; i < PRODUCTS; i++) {
        double start = clock_seconds(), before = gemm_flop_count();
        gemm(false, false, SIZE, SIZE, SIZE, 1, a, SIZE, b, SIZE, 0, c, SIZE);
        best = larger(best, (gemm_flop_count() - before) / (clock_seconds() - start));
    }
    mem_free(a);
    mem_free(b);
    mem_free(c);
    return best;
}

double bench_run(const char *name, int n_runs, void (*run)(void *context), void *context)
{
    double best = 1e30, flop = 0, peak = sgemm_peak();
    for (int i = 0; i < n_runs; i++) {
        double start = clock_seconds(), before = gemm_flop_count();
        run(context);
        double seconds = clock_seconds() - start;
        flop = gemm_flop_count() - before;
        best = seconds < best ? seconds : best;
        peak = larger(peak, sgemm_peak());
    }
    printf("%-58s %8.3f s", name, best);
    if (flop > 0)
        printf(" %6.0f GFLOP/s, %3.0f %% of SGEMM's %.0f", flop / best / 1e9, 100 * flop / best / peak,
               peak / 1e9);
    printf("  (peak memory %.0f MiB)\n", (double)mem_peak_bytes() / 1048576);
    fflush(stdout);
    return best;
}
