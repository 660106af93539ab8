// Errors of the library: a negative status and one complete sentence.
//
// A function that can fail takes an `Error *` last and returns 0 on success or -1 after error_set(). Outputs
// are set only on success. The sentence names the file, the place in it and the remedy, so that a stage can
// print it as it is. The first error wins: a later error_set() on the same object is ignored.
#pragma once
#include <stdbool.h>

typedef struct Error {
    char text[1024]; // empty: no error
} Error;

// Writes the sentence (printf style, no newline; one that is too long loses its middle). Always returns -1,
// so that `return error_set(error, ...)` reads well. error may be NULL.
int error_set(Error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The same, with ": " and strerror(errno) at the end.
int error_set_errno(Error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Puts "prefix: " in front of a sentence that is already there. Returns -1.
int error_prefix(Error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Forgets the sentence, for a caller that has dealt with it.
void error_clear(Error *error);
