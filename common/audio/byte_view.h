// A stretch of a file as a decoder is to see it. Some bytes may differ from those on disk (a size that the
// writer never filled in); a view of memory stands for bytes that lie in the file in another order. Reading
// is by position, so that views of one file do not disturb each other.
#pragma once
#include <stdint.h>

#include "base/error.h"

typedef struct ByteFile {
    int descriptor;
    int64_t n;  // bytes
    int failed; // errno of the first read that the system refused; 0: none
} ByteFile;

enum { BYTE_PATCHES = 4, BYTE_PATCH_MAX = 24 };

typedef struct BytePatch {
    int64_t offset; // in the view
    int n;
    unsigned char bytes[BYTE_PATCH_MAX];
} BytePatch;

typedef struct ByteView {
    ByteFile *file;
    const unsigned char *memory; // instead of the file; NULL: none
    int64_t start, n;            // bytes of the file, or of the memory
    BytePatch patches[BYTE_PATCHES];
    int n_patches;
} ByteView;

int byte_file_open(const char *path, ByteFile *file, Error *error); // refuses what is no regular file
void byte_file_close(ByteFile *file);

// Bytes [offset, offset + n) of the view; how many there are. Fewer at the end, or where the system fails.
int64_t byte_view_read(const ByteView *view, int64_t offset, void *bytes, int64_t n);
// The part of a view from `offset` on; without its patches.
ByteView byte_view_part(const ByteView *view, int64_t offset, int64_t n);
// The view shows these bytes from now on. At most BYTE_PATCHES.
void byte_view_patch(ByteView *view, int64_t offset, const void *bytes, int n);
// The first place at or behind `offset` where the pattern begins; -1: nowhere.
int64_t byte_view_find(const ByteView *view, int64_t offset, const void *pattern, int n);
