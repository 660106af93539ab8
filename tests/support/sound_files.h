// Sound files for tests: written, cut and joined as bytes, and decoded. Everything that fails fails the test.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "audio/decode.h"

enum { SOUND_FILE_HZ = 16000 };

typedef struct Bytes {
    char *data; // freed with mem_free
    size_t n;
} Bytes;

typedef struct Samples {
    int16_t *data; // freed with mem_free
    int64_t n;
} Samples;

// Sample t of a voice of its own for each pitch: loud and soft, so that a variable bit rate varies.
float sound_file_voice(double pitch_hz, int rate_hz, int64_t t);
// That voice in libsndfile's format, with a variable bit rate where there is one.
Bytes sound_file_encode(int format, int rate_hz, double pitch_hz, double seconds);
// A new file of these bytes, one behind the other.
char *sound_file_write(const void *first, size_t n_first, const void *second, size_t n_second);
void sound_file_discard(char *path);   // removes the file and frees its name
Bytes sound_file_take(char *path);     // its bytes; discards it
Samples sound_file_decode(char *path); // discards it
Samples sound_file_decode_cut(const char *path, double start, double end, DecodeNotes *notes);
void sound_file_refused(char *path, const char *reason); // with an error that says `reason`; discards it
