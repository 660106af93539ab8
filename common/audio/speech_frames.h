// Frames of speech as i-vector systems want them (Kaldi's voxceleb v1 recipe): MFCC with deltas, the mean of
// a sliding window removed, frames without energy left out.
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct SpeechFramesOptions {
    int64_t n_ceps;      // 24, with C0
    int64_t delta_order; // 2: deltas and double deltas, each over 3 frames on either side
    int64_t mean_window; // 300 frames around each; 0: the mean stays
    bool vad;
} SpeechFramesOptions;

typedef struct SpeechFrames SpeechFrames; // tables; read-only after creation, so shared by threads

SpeechFrames *speech_frames_create(const SpeechFramesOptions *options);
void speech_frames_destroy(SpeechFrames *speech);
int64_t speech_frames_dim(const SpeechFrames *speech); // n_ceps * (delta_order + 1)
// frames [fbank_frames(n_samples), dim]; returns how many are filled, at least one: where no frame passes the
// voice activity detector, all do.
int64_t speech_frames_compute(const SpeechFrames *speech, const float *samples, int64_t n_samples,
                              float *frames);

// The pieces, for tests. Regression over `window` frames on either side, those beyond the ends being the
// last:
//     delta[t] = sum over k of k (x[t + k] - x[t - k]) / (2 sum over k of k^2),  k = 1 .. window
// x and delta [n, dim], rows `stride` floats apart.
void speech_deltas(const float *x, int64_t n, int64_t dim, int64_t stride, int64_t window, float *delta);
// Subtracts the mean of the `window` frames around each; near the ends the window is shifted inwards.
void speech_subtract_sliding_mean(float *x, int64_t n, int64_t dim, int64_t window);
// log_energy [n] -> voiced [n]: a frame counts when at least 12 % of the 5 frames around it have more log
// energy (of int16 samples) than 5.5 + half of the utterance's mean.
void speech_vad(const float *log_energy, int64_t n, bool *voiced);
