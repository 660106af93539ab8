// Recordings to draw from, some of which may be broken: one bad file among thousands of noises must not end a
// training of hours, nor change what is drawn elsewhere.
//
// All files keep their numbers. Where a broken one is drawn, the next one that can be read stands in for it,
// for this draw alone, and without drawing again. So a run's crops depend on which files can be read, not on
// when it was found out, nor by which thread.
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct SoundPool {
    const char **paths;  // [n] the owner's
    atomic_bool *broken; // [n]
    int64_t n;           // 0: nothing to draw from
} SoundPool;

// Tries one file. Thread-safe; the error names it.
typedef int (*SoundPoolCheck)(const char *path, Error *error);
// Reads one file for a draw.
typedef int (*SoundPoolRead)(const char *path, void *context, Error *error);

void sound_pool_add(SoundPool *pool, const char *path);
void sound_pool_release(SoundPool *pool);
// Tries all files, with all threads, and warns of those that are left out: one line with their number and the
// first reason. A pool without a single good file is emptied, and *error gets the first reason if it has none
// yet; that is for the caller to judge. what: "noise", for the line.
void sound_pool_check(SoundPool *pool, const char *what, SoundPoolCheck check, Error *error);
// Reads file `index`, or the next one that can be read. -1: none can. Thread-safe.
int sound_pool_read(const SoundPool *pool, int64_t index, SoundPoolRead read, void *context, Error *error);
