#include "base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ALIGNMENT = 64 };

static atomic_long fail_countdown; // 0 or less: off

void mem_fail_at(int64_t n)
{
    atomic_store(&fail_countdown, n);
}

static bool failure_injected(void)
{
    return atomic_load(&fail_countdown) > 0 && atomic_fetch_sub(&fail_countdown, 1) == 1;
}

// Without stdio and without allocating.
void mem_exhausted(size_t n_bytes)
{
    char line[160];
    int length =
        snprintf(line, sizeof line,
                 "voxloop: out of memory: a block of %zu bytes could not be had; close other programs "
                 "or use smaller batches\n",
                 n_bytes);
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        _exit(1);
    quick_exit(1);
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
    size_t n_bytes;
    if (!block)
        mem_exhausted(__builtin_mul_overflow(count, size, &n_bytes) ? SIZE_MAX : n_bytes);
    return block;
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
    if (length < 0)
        mem_exhausted(0);
    char *text = mem_alloc((size_t)length + 1, 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

void *mem_unaligned(size_t n_bytes)
{
    return or_die(failure_injected() ? NULL : malloc(n_bytes ? n_bytes : 1), n_bytes, 1);
}

void *mem_require(void *made)
{
    if (!made)
        mem_exhausted(0);
    return made;
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

// The number behind `key` in a small file of /proc or /sys; SIZE_MAX where there is none ("max" too).
static size_t number_in(const char *path, const char *key)
{
    char line[256];
    size_t value = SIZE_MAX;
    FILE *file = fopen(path, "re");
    while (file && value == SIZE_MAX && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%zu", &value) != 1)
            value = SIZE_MAX;
    if (file)
        fclose(file);
    return value;
}

size_t mem_available_bytes(void)
{
    size_t kib = number_in("/proc/meminfo", "MemAvailable:"), available = SIZE_MAX;
    if (kib < SIZE_MAX / 1024)
        available = kib * 1024;
    size_t limit = number_in("/sys/fs/cgroup/memory.max", "");
    size_t used = number_in("/sys/fs/cgroup/memory.current", "");
    size_t cached = number_in("/sys/fs/cgroup/memory.stat", "inactive_file "); // given back when wanted
    if (limit != SIZE_MAX && used != SIZE_MAX && cached != SIZE_MAX) {
        used -= cached < used ? cached : used;
        size_t left = limit > used ? limit - used : 0;
        available = left < available ? left : available;
    }
    return available;
}

size_t mem_peak_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}
