#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { ALIGNMENT = 64 };

static int64_t fail_countdown; // 0: off

void mem_fail_at(int64_t n)
{
    fail_countdown = n;
}

static bool failure_injected(void)
{
    return fail_countdown > 0 && --fail_countdown == 0;
}

static void *aligned(size_t count, size_t size)
{
    size_t n_bytes;
    if (failure_injected() || __builtin_mul_overflow(count, size, &n_bytes) ||
        n_bytes > PTRDIFF_MAX - ALIGNMENT)
        return NULL;
    n_bytes = (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return aligned_alloc(ALIGNMENT, n_bytes ? n_bytes : ALIGNMENT);
}

static void *or_die(void *block, size_t count, size_t size)
{
    if (block)
        return block;
    fprintf(stderr,
            "voxloop: out of memory: wanted %zu x %zu bytes; close other programs or use smaller batches\n",
            count, size);
    exit(1);
}

void *mem_alloc(size_t count, size_t size)
{
    return or_die(aligned(count, size), count, size);
}

void *mem_zero(size_t count, size_t size)
{
    void *block = mem_alloc(count, size);
    return memset(block, 0, count * size);
}

void *mem_grow(void *block, size_t count, size_t size)
{
    size_t n_bytes;
    if (failure_injected() || __builtin_mul_overflow(count, size, &n_bytes) || n_bytes > PTRDIFF_MAX)
        or_die(NULL, count, size);
    return or_die(realloc(block, n_bytes ? n_bytes : 1), count, size);
}

char *mem_strdup(const char *text)
{
    size_t n_bytes = strlen(text) + 1;
    return memcpy(mem_alloc(n_bytes, 1), text, n_bytes);
}

char *mem_printf(const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = mem_alloc((size_t)(length < 0 ? 0 : length) + 1, 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

void mem_free(void *block)
{
    free(block);
}

void *mem_try_alloc(size_t count, size_t size, const char *purpose, Error *error)
{
    void *block = aligned(count, size);
    if (!block)
        error_set(error,
                  "out of memory: %s needs %.1f MiB; use a smaller setting or a machine with more memory",
                  purpose, (double)count * (double)size / 1048576.0);
    return block;
}

size_t mem_peak_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}
