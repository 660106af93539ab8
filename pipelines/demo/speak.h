// One sentence in one voice, by the espeak-ng program. It runs as a child process: espeak-ng is under the GPL
// and is not linked in.
#pragma once
#include <stdint.h>
#include "base/error.h"
#include "base/rng.h"
#include "demo/voices.h"

// Speaks `text`; rng varies pitch and rate a little from utterance to utterance, as people do. *samples is a
// new block of *n samples at rate_hz, freed with mem_free; dry, without noise, of any level. Thread-safe.
int speak(const Voice *voice, const char *text, Rng *rng, double rate_hz, float **samples, int64_t *n,
          Error *error);
