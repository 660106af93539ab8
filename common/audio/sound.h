// One stream of a recording, decoded: floats at the file's own rate, full scale 1.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "audio/recording.h"
#include "base/error.h"

enum { SOUND_MAX_CHANNELS = 256, SOUND_MIN_HZ = 4000, SOUND_MAX_HZ = 768000 };

typedef struct Sound {
    int rate_hz, channels; // within the bounds above
    int64_t n_frames;      // that its header promises; -1: unknown. sound_count() counts where it must
    struct Decoder *decoder;
} Sound;

// The error is the reason alone. The stream must outlive the sound.
int sound_open(const AudioStream *stream, Sound *sound, Error *error);
void sound_close(Sound *sound);
// Frames in it, -1: unknown. Reads through an MPEG stream, and must come before the first sound_read().
int64_t sound_count(Sound *sound);
// Up to n frames [n, channels]; how many came: fewer only at the end, or where it is damaged.
int64_t sound_read(Sound *sound, float *frames, int64_t n);
// Goes to this frame. False: it is not in there.
bool sound_seek(Sound *sound, int64_t frame);
// What the decoder complained of, or NULL. Asked at the end.
const char *sound_damage(const Sound *sound);
