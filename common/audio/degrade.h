// What a line does to speech: an overloaded input clips it, a telephone keeps its band from 300 to 3400 Hz, a
// codec rounds it to 8 bits of mu-law.
#pragma once
#include <stdint.h>
#include "base/rng.h"

// samples [n] at 16 kHz, full scale 1, in place; the length stays. One or more of the three below, in this
// order; every choice is equally likely.
void degrade(Rng *rng, float *samples, int64_t n);

// At a level 3 to 15 dB below the largest sample.
void degrade_clip(Rng *rng, float *samples, int64_t n);
// Butterworth edges, 3 dB down at 300 Hz (order 4) and at 3400 Hz (order 8).
void degrade_band_limit(float *samples, int64_t n);
// sign(x) ln(1 + 255 |x|) / ln(256) in 256 steps (the continuous form of ITU-T G.711); beyond full scale it
// clips.
void degrade_mu_law(float *samples, int64_t n);
