// Where an utterance of the demo corpus was recorded: its own room, microphone, noise and level, so that none
// of them gives the speaker away.
#pragma once
#include <stdint.h>
#include "base/rng.h"

typedef struct SceneOptions {
    double snr_db_min, snr_db_max;
    double reverb_seconds_max; // reverberation time T60, drawn from 0.1 up to this
    double channel_db;         // the microphone's peaks and dips, up to this
} SceneOptions;

// dry [n] -> a new block of *n_wet samples (the room's tail and some noise around the speech are added), peak
// below 1; the caller frees it with mem_free.
float *scene_record(const SceneOptions *options, Rng *rng, double rate_hz, const float *dry, int64_t n,
                    int64_t *n_wet);
