// Speed perturbation (Ko et al., "Audio augmentation for speech recognition", 2015): speech played faster or
// slower has another pitch, so for speaker recognition it is another speaker.
#pragma once
#include <stdint.h>
#include "base/error.h"

// out [n_out] = in [n_in] played n_in / n_out times as fast, band-limited (libsoxr's high quality).
int speed_change(const float *in, int64_t n_in, float *out, int64_t n_out, Error *error);
