#include "damage.h"

#include <fcntl.h>
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

static void patch(const char *path, size_t at, char byte)
{
    int descriptor = open(path, O_WRONLY);
    if (descriptor < 0 || pwrite(descriptor, &byte, 1, (off_t)at) != 1)
        fail_msg("cannot write %s", path);
    close(descriptor);
}

void damage_each_bit(const char *path, const void *whole, size_t n_bytes, size_t first_byte, size_t stride,
                     DamageVisit *visit, void *context)
{
    const char *bytes = whole;
    char what[64];
    scratch_write(path, whole, n_bytes);
    for (size_t bit = 8 * first_byte; bit < 8 * n_bytes; bit += stride) {
        patch(path, bit / 8, (char)(bytes[bit / 8] ^ 1 << bit % 8));
        snprintf(what, sizeof what, "bit %zu of byte %zu flipped", bit % 8, bit / 8);
        visit(path, context, what);
        patch(path, bit / 8, bytes[bit / 8]);
    }
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
