// Files that are read at random, more of them than may be open at once: a set of open files keeps the most
// recently read ones open and opens another again when it is asked for. A file that was replaced or changed
// in between is an error, since what was learnt of it no longer holds.
//
//     OpenFiles *pool = open_files_create(0);
//     RandomFile *file = random_file_open(pool, path, &error);       // or pool NULL: open as long as it is
//     used random_file_read(file, offset, data, n_bytes, &error);         // from any thread
//     random_file_close(file);
//     open_files_destroy(pool);
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef struct OpenFiles OpenFiles;
typedef struct RandomFile RandomFile;

// At most so many files are open (more only while more threads read at the same moment); 0: a quarter of what
// the process may have, 256 at most.
OpenFiles *open_files_create(int64_t most_open);
void open_files_destroy(OpenFiles *pool); // behind its last file; NULL is fine

RandomFile *random_file_open(OpenFiles *pool, const char *path, Error *error); // NULL: no ordinary file
void random_file_close(RandomFile *file);                                      // NULL is fine
int64_t random_file_bytes(const RandomFile *file);
// A file that ends before is an error.
int random_file_read(RandomFile *file, int64_t offset, void *data, size_t n_bytes, Error *error);
