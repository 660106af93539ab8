// WavLM's front end: what turns audio into 20 ms frames. Seven strided convolutions on the waveform (Baevski
// et al. 2020), or two on log-mel frames: far easier to learn from an hour of audio, but no pre-trained
// weights fit them. Names are Microsoft's (`feature_extractor.conv_layers.0.0.weight`), those on log-mel
// frames `fbank_extractor.conv_layers.*`.
#pragma once
#include "audio/front_end.h"
#include "base/error.h"
#include "nn/scope.h"
#include "tensor/tape.h"

enum { WAVLM_MAX_CONVS = 8, WAVLM_N_MELS = 80, WAVLM_MOST_SAMPLES = 1 << 20 };

typedef struct WavlmConv { // one convolution on waveforms
    int64_t channels, kernel, stride;
} WavlmConv;

typedef struct WavlmFrontEndConfig {
    EncoderInput input;
    bool
        layer_norm; // extractor_mode "layer_norm": behind every convolution; else group norm behind the first
    bool conv_bias;
    int64_t n_convs;
    WavlmConv convs[WAVLM_MAX_CONVS]; // the last one's channels are also those on log-mel frames
} WavlmFrontEndConfig;

// Convolutions that take more than WAVLM_MOST_SAMPLES for a frame are an error.
int wavlm_front_end_check(const WavlmFrontEndConfig *config, Error *error);
int64_t wavlm_front_end_channels(const WavlmFrontEndConfig *config);
// Frames that come out of n samples (or n log-mel frames); 0 when the input is too short.
int64_t wavlm_front_end_frames(const WavlmFrontEndConfig *config, int64_t n);
int64_t wavlm_front_end_min_input(const WavlmFrontEndConfig *config); // the shortest input that gives a frame

typedef struct WavlmFrontEnd WavlmFrontEnd;

WavlmFrontEnd *wavlm_front_end_create(const WavlmFrontEndConfig *config, Scope scope);
void wavlm_front_end_destroy(WavlmFrontEnd *front_end); // NULL is fine
// input [B, samples] or [B, frames, 80] -> [B, T, channels]
Tensor *wavlm_front_end_forward(const WavlmFrontEnd *front_end, Tape *tape, Tensor *input);
