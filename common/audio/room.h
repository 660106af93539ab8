// Synthetic rooms and microphones: what colours a recording when there are no measured responses.
#pragma once
#include <stdint.h>
#include "base/rng.h"

// Adds the sound of a room to wet [n + tail]: dry [n] unchanged, then a tail that decays by 60 dB in t60
// seconds and lies direct_db below the direct sound. The tail is velvet noise, sparse pulses of random sign
// (Karjalainen and Jarvelainen, "Reverberation modeling using velvet noise", 2007).
void room_reverberate(Rng *rng, double t60, double direct_db, double rate_hz, const float *dry, int64_t n,
                      float *wet, int64_t tail);

// A microphone and its line, in place: a low cut between 40 and 160 Hz and three peaks or dips of up to
// channel_db.
void room_microphone(Rng *rng, double channel_db, double rate_hz, float *x, int64_t n);

// Noise [n] between white and brown with a resonance somewhere; of any level.
void room_noise(Rng *rng, double rate_hz, float *noise, int64_t n);

double root_mean_square(const float *x, int64_t n); // never 0: at least 1e-9
