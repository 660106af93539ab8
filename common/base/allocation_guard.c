// Linked into the programs, not into the library: an allocation that fails ends the process with the line of
// base/memory.h, whichever library asked. libsndfile dereferences the NULL, libzip takes the archive for a
// damaged one, a resampler gives a recording up as unreadable: no check of ours could tell. The C library
// allows a program to bring functions of these names; ours hand everything on.
//
// Large blocks are left to whoever asks: our own are planned and reported (mem_try_alloc), and a hostile
// recording may make a library ask for much more than there is, which is that recording's fault alone.
#include "base/memory.h"

#if defined(__GLIBC__)
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

enum { SMALL_BYTES = 1 << 28 };

void *memalign(size_t alignment, size_t n_bytes);
extern void *__libc_malloc(size_t n_bytes);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t n_bytes);
extern void *__libc_memalign(size_t alignment, size_t n_bytes);

// The functions behind ours: the C library's, or those of a tool that is loaded in between.
static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*memalign)(size_t, size_t);
} next = {__libc_malloc, __libc_calloc, __libc_realloc, __libc_memalign};

static void *find(const char *name, void *fallback)
{
    void *found = dlsym(RTLD_NEXT, name);
    return found ? found : fallback;
}

__attribute__((constructor)) static void find_next(void)
{
    next.malloc = find("malloc", __libc_malloc);
    next.calloc = find("calloc", __libc_calloc);
    next.realloc = find("realloc", __libc_realloc);
    next.memalign = find("memalign", __libc_memalign);
}

static void *checked(void *block, size_t n_bytes)
{
    if (!block && n_bytes > 0 && n_bytes < SMALL_BYTES)
        mem_exhausted(n_bytes);
    return block;
}

void *malloc(size_t n_bytes)
{
    return checked(next.malloc(n_bytes), n_bytes);
}

void *calloc(size_t count, size_t size)
{
    size_t n_bytes;
    if (__builtin_mul_overflow(count, size, &n_bytes))
        n_bytes = SMALL_BYTES;
    return checked(next.calloc(count, size), n_bytes);
}

void *realloc(void *block, size_t n_bytes)
{
    return checked(next.realloc(block, n_bytes), n_bytes);
}

void *memalign(size_t alignment, size_t n_bytes)
{
    return checked(next.memalign(alignment, n_bytes), n_bytes);
}

void *aligned_alloc(size_t alignment, size_t n_bytes)
{
    return memalign(alignment, n_bytes);
}

int posix_memalign(void **block, size_t alignment, size_t n_bytes)
{
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0)
        return EINVAL;
    void *made = memalign(alignment, n_bytes);
    if (!made)
        return ENOMEM;
    *block = made;
    return 0;
}
#endif
