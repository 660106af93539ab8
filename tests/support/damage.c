#include "damage.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"

char *scratch_create(void)
{
    const char *parent = getenv("TMPDIR");
    char *folder = mem_printf("%s/voxloop-test-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!mkdtemp(folder))
        fail_msg("cannot create %s", folder);
    return folder;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info, (void)type, (void)place;
    return remove(path);
}

void scratch_remove(char *folder)
{
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    mem_free(folder);
}

void scratch_write(const char *path, const void *data, size_t n_bytes)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, n_bytes, file) != n_bytes || fclose(file) != 0)
        fail_msg("cannot write %s", path);
}

void damage_each_bit(const char *path, const void *whole, size_t n_bytes, size_t stride, DamageVisit *visit,
                     void *context)
{
    char *copy = memcpy(mem_alloc(n_bytes, 1), whole, n_bytes), what[64];
    for (size_t bit = 0; bit < 8 * n_bytes; bit += stride) {
        copy[bit / 8] ^= (char)(1 << bit % 8);
        scratch_write(path, copy, n_bytes);
        copy[bit / 8] ^= (char)(1 << bit % 8);
        snprintf(what, sizeof what, "bit %zu of byte %zu flipped", bit % 8, bit / 8);
        visit(path, context, what);
    }
    mem_free(copy);
}

void damage_each_cut(const char *path, const void *whole, size_t n_bytes, size_t stride, DamageVisit *visit,
                     void *context)
{
    char what[64];
    for (size_t length = 0; length < n_bytes; length += stride) {
        scratch_write(path, whole, length);
        snprintf(what, sizeof what, "cut to %zu of %zu bytes", length, n_bytes);
        visit(path, context, what);
    }
}
