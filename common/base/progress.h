// A bar with count, rate and ETA on stderr: only on a terminal, at most a few times a second, silent in files
// and under --quiet. progress_step() may be called from any thread.
#pragma once
#include <stdint.h>

typedef struct Progress Progress;

Progress *progress_create(const char *unit, int64_t total); // unit: "utt", "step"
void progress_step(Progress *progress, int64_t n);          // n more are done
void progress_destroy(Progress *progress);                  // wipes the bar; NULL is fine
