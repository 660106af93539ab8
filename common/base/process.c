#include "base/process.h"

#include <cblas.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/memory.h"

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

// The file of this program. By its own name, or ps would call the process "exe".
static void start_again(char **argv)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n > 0) {
        path[n] = '\0';
        execv(path, argv);
    }
    execv("/proc/self/exe", argv); // it was removed or replaced meanwhile
}

void process_settle(char **argv)
{
    flush_denormals();
    library_memory_settle();
    bool kernels = settle("OPENBLAS_CORETYPE", better_kernels());
    bool spinning = !getenv("OMP_WAIT_POLICY") && settle("GOMP_SPINCOUNT", "1000");
    if (kernels || spinning)
        start_again(argv);
}

void process_set_name(const char *name)
{
    prctl(PR_SET_NAME, name);
}
