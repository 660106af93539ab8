// LD_PRELOAD: the VOXLOOP_FAIL_AT-th allocation of the process fails, whichever library asks for it; those
// before and after it succeed. VOXLOOP_FAIL_COUNT=FILE: how many there were is written there at the end.
// VOXLOOP_FAIL_TRACE=1 says on stderr who asked.
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);
void *malloc(size_t n_bytes), *calloc(size_t count, size_t size), *realloc(void *block, size_t n_bytes),
    *memalign(size_t alignment, size_t n_bytes), *aligned_alloc(size_t alignment, size_t n_bytes);
int posix_memalign(void **block, size_t alignment, size_t n_bytes);

static atomic_long n_allocations, fail_at;
static int trace;

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("VOXLOOP_FAIL_AT");
    trace = getenv("VOXLOOP_FAIL_TRACE") != NULL;
    if (trace)
        backtrace((void *[4]){0}, 4); // allocates when it is first called
    atomic_store(&n_allocations, 0);
    atomic_store(&fail_at, at ? atol(at) : 0);
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("VOXLOOP_FAIL_COUNT");
    int descriptor = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    if (descriptor < 0)
        return;
    dprintf(descriptor, "%ld\n", atomic_load(&n_allocations));
    close(descriptor);
}

static int fails(void)
{
    long at = atomic_load(&fail_at);
    if (atomic_fetch_add(&n_allocations, 1) + 1 != at || at == 0)
        return 0;
    if (trace) {
        void *frames[40];
        backtrace_symbols_fd(frames, backtrace(frames, 40), STDERR_FILENO);
    }
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n_bytes)
{
    return fails() ? NULL : __libc_malloc(n_bytes);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t n_bytes)
{
    return fails() ? NULL : __libc_realloc(block, n_bytes);
}

void *memalign(size_t alignment, size_t n_bytes)
{
    return fails() ? NULL : __libc_memalign(alignment, n_bytes);
}

void *aligned_alloc(size_t alignment, size_t n_bytes)
{
    return memalign(alignment, n_bytes);
}

int posix_memalign(void **block, size_t alignment, size_t n_bytes)
{
    void *made = memalign(alignment, n_bytes);
    if (!made)
        return ENOMEM;
    *block = made;
    return 0;
}
