// Another voice over a part of a crop, as WavLM's pre-training mixes utterances (Chen et al. 2021, section
// III-C): the encoder is to tell the crop's own voice from the other.
#pragma once
#include <stdint.h>
#include "base/rng.h"

// Where `other` goes: at most half of the crop, at a random place. Draw it before reading what is mixed in.
typedef struct MixPlace {
    int64_t start, n; // samples
    double snr_db;    // of the crop over what is mixed in: -5 to 5
} MixPlace;

MixPlace mix_draw(Rng *rng, int64_t n_samples);
// samples [n_samples] += other [place->n], scaled. A silent crop or a silent other stays as it is.
void mix_apply(const MixPlace *place, const float *other, float *samples, int64_t n_samples);
