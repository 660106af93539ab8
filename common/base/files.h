// Small file helpers. Paths are bytes; results are new strings, freed with mem_free().
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

char *path_join(const char *folder, const char *name);
char *path_folder(const char *path);                   // "a/b.c" -> "a"; "b" -> "."
const char *path_name(const char *path);               // "a/b.c" -> "b.c", inside the argument
char *path_beside(const char *path, const char *name); // "a/b.c" and "d" -> "a/d"
bool file_exists(const char *path);
bool folder_exists(const char *path);
bool file_is_regular(const char *path);            // no folder, pipe or device
int folder_create(const char *path, Error *error); // like mkdir -p
// Adds a NUL behind the data. A web page or a pointer of Git LFS is refused (base/strange_file.h).
int file_read(const char *path, char **data, size_t *n_bytes, Error *error);
int file_digest(const char *path, char hex[17], Error *error); // XXH64 of the content
void strings_free(char **strings, int64_t n);
double clock_seconds(void); // monotonic wall clock
