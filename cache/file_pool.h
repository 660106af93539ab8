// Files that are read at random, more of them than may be open at once: a pool keeps the most recently read
// ones open and opens another again when it is asked for. A file that was replaced or changed in between is
// an error, since what was learnt of it no longer holds.
//
//     FilePool *pool = file_pool_create(0);
//     PooledFile *file = pooled_open(pool, path, &error);       // or pool NULL: open as long as it is used
//     pooled_read(file, offset, data, n_bytes, &error);         // from any thread
//     pooled_close(file);
//     file_pool_destroy(pool);
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef struct FilePool FilePool;
typedef struct PooledFile PooledFile;

// At most so many files are open (more only while more threads read at the same moment); 0: a quarter of what
// the process may have, 256 at most.
FilePool *file_pool_create(int64_t most_open);
void file_pool_destroy(FilePool *pool); // behind its last file; NULL is fine

PooledFile *pooled_open(FilePool *pool, const char *path, Error *error); // NULL: no ordinary file
void pooled_close(PooledFile *file);                                     // NULL is fine
int64_t pooled_bytes(const PooledFile *file);
// A file that ends before is an error.
int pooled_read(PooledFile *file, int64_t offset, void *data, size_t n_bytes, Error *error);
