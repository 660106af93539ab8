// OpenBLAS chooses its kernels by CPU model when it is loaded, and falls back to SSE3 ones for a model
// younger than itself: Debian's 0.3.21 takes a 2023 Xeon for a "Prescott" of 2004, at a fifth of the speed
// (73 against 337 GFLOP/s on two cores). The choice cannot be changed afterwards, so a program that finds
// itself so starts itself once more with OPENBLAS_CORETYPE set. A user who sets that variable is left alone.
#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void blas_kernels_choose(int argc, char **argv, char **environment);

#if defined(__x86_64__)
// What the instruction set allows, where the kernels in use are those of an unknown model; NULL: all is well.
static const char *better_kernels(void)
{
    const char *chosen = openblas_get_corename();
    if (strcmp(chosen, "Prescott") != 0 && strcmp(chosen, "Barcelona") != 0)
        return NULL;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "Haswell";
    return NULL;
}

// Runs before main; glibc hands main's arguments to constructors too.
__attribute__((constructor)) void blas_kernels_choose(int argc, char **argv, char **environment)
{
    (void)argc, (void)environment;
    if (getenv("OPENBLAS_CORETYPE"))
        return;
    const char *kernels = better_kernels();
    if (kernels && setenv("OPENBLAS_CORETYPE", kernels, 1) == 0)
        execv("/proc/self/exe", argv); // returns only on failure: then the slow kernels have to do
}
#else
void blas_kernels_choose(int argc, char **argv, char **environment)
{
    (void)argc, (void)argv, (void)environment;
}
#endif
