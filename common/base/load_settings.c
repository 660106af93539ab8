// What OpenBLAS and the OpenMP runtime read from the environment when they are loaded, before main, and never
// again. A program whose environment is silent on these sets them and starts itself once more.
//
// OPENBLAS_CORETYPE: OpenBLAS chooses its kernels by CPU model and falls back to SSE3 ones for a model
// younger than itself. Debian's 0.3.21 takes a 2023 Xeon for a "Prescott" of 2004, at a fifth of the speed
// (73 against 337 GFLOP/s on two cores).
//
// GOMP_SPINCOUNT: how long a thread that waits at the end of a parallel loop spins before it sleeps. By
// default some milliseconds: where anything else wants the cores, the spinning keeps from them the very
// thread that is waited for. Six DINO steps beside other programs took 54-70 s, and 4-6 s with short spins.
//
// Whoever sets these variables, or OMP_WAIT_POLICY, is left alone.
//
// Numbers below 1e-38 count as 0: processors take many times as long for them. A small WavLM's 20th
// fine-tuning step took three times as long with them (18 against 55 utterances a second), with the same
// loss. Threads inherit the mode from the one that starts them.
#include <cblas.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

void load_settings_choose(int argc, char **argv, char **environment);

// The kernels that the instruction set allows, where those in use are for an unknown model; NULL: all is
// well.
static const char *better_kernels(void)
{
#if defined(__x86_64__)
    const char *chosen = openblas_get_corename();
    if (strcmp(chosen, "Prescott") != 0 && strcmp(chosen, "Barcelona") != 0)
        return NULL;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "Haswell";
#endif
    return NULL;
}

static void flush_denormals(void)
{
#if defined(__x86_64__)
    _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);         // of results
    _MM_SET_DENORMALS_ZERO_MODE(_MM_DENORMALS_ZERO_ON); // of operands
#endif
}

// Sets a variable that is not there; true where that changed something.
static bool settle(const char *name, const char *value)
{
    return value && !getenv(name) && setenv(name, value, 1) == 0;
}

// Runs before main; glibc hands main's arguments to constructors too.
__attribute__((constructor)) void load_settings_choose(int argc, char **argv, char **environment)
{
    (void)argc, (void)environment;
    flush_denormals();
    bool kernels = settle("OPENBLAS_CORETYPE", better_kernels());
    bool spinning = !getenv("OMP_WAIT_POLICY") && settle("GOMP_SPINCOUNT", "10000");
    if (kernels || spinning)
        execv("/proc/self/exe", argv); // returns only on failure: then it goes on slowly
}
