// Augmentation of one crop: one of {none, reverberation, noise, music, babble, babble under music}, drawn
// from the caller's stream. Sources are given folders or made: coloured noise, rooms of velvet noise with a
// microphone (audio/room.h), babble from the training corpus itself through a callback. A noise folder is
// MUSAN-like: folders named music and speech on the way to a file say what it is, all else is noise. Files
// are read when they are drawn, so folders may be large; all are tried once in the beginning, and broken or
// silent ones left out (audio/sound_pool.h).
#pragma once
#include <stdint.h>
#include "base/error.h"
#include "base/rng.h"

// Fills `samples` with `n` samples of some other utterance, chosen with rng. Returns 0, or -1 with an error.
typedef int (*AugmentSource)(void *context, Rng *rng, float *samples, int64_t n, Error *error);

typedef struct AugmentOptions {
    double probability;       // that anything is done at all
    const char *noise_folder; // NULL: synthetic noise
    const char *rir_folder;   // NULL: synthetic rooms
    AugmentSource babble;     // NULL: no babble
    void *babble_context;
} AugmentOptions;

typedef struct Augmenter Augmenter; // read-only after creation: shared by threads

// NULL: a folder is not there, or has no usable file. Draws nothing: all randomness is the caller's stream.
Augmenter *augmenter_create(const AugmentOptions *options, Error *error);
void augmenter_destroy(Augmenter *augmenter);
// In place; the length stays. SNRs as in FIELD.md section 3.
int augmenter_apply(const Augmenter *augmenter, Rng *rng, float *samples, int64_t n_samples, Error *error);
