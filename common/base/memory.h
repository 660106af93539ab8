// Heap memory. Sizes are count x size with an overflow check; blocks are 64-byte aligned (one cache line, one
// AVX-512 register) and come from malloc's heap, so mem_free() is the only way back.
//
// mem_alloc() and friends never return NULL: small allocations that fail end the program with one line and
// exit status 1, which is safe because artefacts are only ever published whole. Large, planned blocks
// (anything that grows with the corpus or that a file asks for) use mem_try_alloc(), which reports.
//
// Other people's libraries end the same way: cJSON allocates through here (base/library_memory.c), what a
// library returns NULL for is passed through mem_require(), and in the programs every small allocation of any
// library is watched (base/allocation_guard.c): most of them cannot be trusted to say that one has failed.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

void *mem_alloc(size_t count, size_t size);             // uninitialised
void *mem_zero(size_t count, size_t size);              // zeroed
void *mem_grow(void *block, size_t count, size_t size); // realloc; block may be NULL
char *mem_strdup(const char *text);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2))); // a new string
void mem_free(void *block);                                                      // NULL is fine
void *mem_unaligned(size_t n_bytes); // for libraries: aligned as malloc does, so that small blocks stay small

// cJSON allocates through here from now on; process_settle() calls it, before any tree is made.
void library_memory_settle(void);
// What a library has made; where that is NULL the program ends like mem_alloc().
void *mem_require(void *made);
// The line and the end: a block of n_bytes (0: not known) could not be had. Functions that were registered by
// at_quick_exit() run, others do not: any thread may call this at any moment.
void mem_exhausted(size_t n_bytes) __attribute__((noreturn));

// Returns NULL with a sentence that says how many bytes `purpose` wanted.
void *mem_try_alloc(size_t count, size_t size, const char *purpose, Error *error);

// For tests: the n-th allocation from now fails (1 = the next one); 0 switches it off.
void mem_fail_at(int64_t n);

// What the system, or the control group that this process is in, could still give; SIZE_MAX where neither
// says.
size_t mem_available_bytes(void);

size_t mem_peak_bytes(void); // the process's peak resident memory so far
