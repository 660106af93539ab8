// Any recording that libsndfile reads, as 16 kHz mono PCM16: channels are averaged, other rates go through
// libsoxr. Nothing in the file's header is believed: samples are counted as they come.
#pragma once
#include <stdint.h>
#include "base/error.h"
#include "base/rng.h"

enum { DECODE_RATE_HZ = 16000 };

typedef struct DecodeLimits {
    double min_seconds; // shorter recordings are refused
    double max_seconds; // so are longer ones, which bounds the memory; 0: any length
    double silence_db;  // so are those whose root mean square, against full scale, lies below this
} DecodeLimits;

// *samples [*n] is a new block, freed with mem_free. Refuses, with the reason alone as the error's text (the
// caller names the file), what is unreadable, empty, shorter than its header promises, too short, silent or
// not finite. Thread-safe. The memory is that of one recording.
int audio_decode(const char *path, const DecodeLimits *limits, int16_t **samples, int64_t *n, Error *error);

// The stretch from `start` to `end` seconds (end < 0: the recording's), read without what lies before; one
// that ends behind the recording's end is refused.
int audio_decode_part(const char *path, double start, double end, const DecodeLimits *limits,
                      int16_t **samples, int64_t *n, Error *error);

// samples [n] from a random place of a recording that nobody checked (noise, music): mono, 16 kHz, repeated
// from its start where it is shorter. Reads no more than it needs. Thread-safe. The error names the file.
int audio_read_stretch(const char *path, Rng *rng, float *samples, int64_t n, Error *error);

// A measured room: the start of the first channel (an average over microphones would be another room), at
// most max_taps at 16 kHz, scaled to unit energy. Thread-safe. The error names the file.
int audio_read_response(const char *path, float *taps, int64_t max_taps, int64_t *n_taps, Error *error);
