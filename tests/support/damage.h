// What readers of files are tested with: a scratch folder, and one whole file damaged in every way that a
// disk or a stranger can think of.
#pragma once
#include <stddef.h>

// A new empty folder under $TMPDIR; scratch_remove() deletes it with everything in it and frees the name.
char *scratch_create(void);
void scratch_remove(char *folder);

// Overwrites a file, without the care (and the fsync) of publish_bytes().
void scratch_write(const char *path, const void *data, size_t n_bytes);

// Writes each damaged form of `whole` to path and calls visit(path, context, what): one bit flipped, for
// every `stride`-th bit; the file cut short, at every `stride`-th byte. visit decides what must hold.
typedef void DamageVisit(const char *path, void *context, const char *what);
void damage_each_bit(const char *path, const void *whole, size_t n_bytes, size_t first_byte, size_t stride,
                     DamageVisit *visit, void *context);
void damage_each_cut(const char *path, const void *whole, size_t n_bytes, size_t stride, DamageVisit *visit,
                     void *context);
