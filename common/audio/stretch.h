// Short pieces of recordings that nobody prepared: noise, music and rooms for augmentation. Only the first
// stream of a file is used, and no more of it is read than is needed. Thread-safe; errors name the file.
#pragma once
#include <stdint.h>
#include "base/error.h"

// samples [n]: mono, 16 kHz, from a place in [0, 1] of the recording, repeated from its start where it is
// shorter.
int audio_read_stretch(const char *path, double place, float *samples, int64_t n, Error *error);

// A measured room: the start of the first channel (an average over microphones would be another room), at
// most max_taps at 16 kHz, scaled to unit energy.
int audio_read_response(const char *path, float *taps, int64_t max_taps, int64_t *n_taps, Error *error);
