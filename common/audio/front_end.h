// What an encoder eats, made of 16 kHz samples: training, extraction and everything between make it here, so
// that all see the same features. Nobody else asks which kind an encoder takes.
//
//     FrontEnd *front_end = front_end_create(encoder->input);
//     InputShape shape = front_end_shape(encoder->input, n_samples);
//     float *row = mem_alloc((size_t)input_floats(shape), sizeof(float));
//     front_end_compute(front_end, samples, n_samples, NULL, row);
// Floored filter banks. What lies far under the speech tells about lines, codecs and noise gates, not voices,
// and the logarithm makes it loud: a band that a telephone cuts off, or a pause of digital zeros, is 80 dB
// away from a quiet room. So with P the energy (of all bands together) that 5 % of the frames exceed,
//
//     x[t, m] = log(energy[t, m] + 1e-5 P) - mean over the frames t of more energy than 1e-3 P
//
// Only what lies less than 50 dB under the loud frames is seen, pauses do not count in the mean, and the
// level of the recording not at all.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

typedef enum EncoderInput {
    ENCODER_FBANK,         // [frames, 80], log-mel of 25 ms every 10 ms (audio/fbank.h), the utterance's mean
                           // taken away
    ENCODER_FLOORED_FBANK, // the same with a floor under the energies, and the mean of the speech
    ENCODER_WAVEFORM       // [samples], in [-1, 1)
} EncoderInput;

// Of one row: length x width floats.
typedef struct InputShape {
    int64_t length; // frames or samples
    int64_t width;  // 80 or 1
} InputShape;

static inline int64_t input_floats(InputShape shape)
{
    return shape.length * shape.width;
}

// A length of 0: too few samples for a frame.
InputShape front_end_shape(EncoderInput input, int64_t n_samples);
// The fewest samples that give a row of this length.
int64_t front_end_samples(EncoderInput input, int64_t length);
// "frames" or "samples", for messages.
const char *front_end_unit(EncoderInput input);
// Whether SpecAugment has bands to mask.
bool front_end_has_bands(EncoderInput input);

typedef struct FrontEnd FrontEnd; // tables; read-only after creation, so shared by threads

FrontEnd *front_end_create(EncoderInput input);
void front_end_destroy(FrontEnd *front_end); // NULL is fine
// samples [n_samples] in [-1, 1) -> row. dither: of filter banks, one step of int16 (training); NULL: none.
void front_end_compute(const FrontEnd *front_end, const float *samples, int64_t n_samples, Rng *dither,
                       float *row);
