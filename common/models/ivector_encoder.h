// The encoder `ivector`: an utterance's i-vector (ivector/total_variability.h), centred, whitened and of
// length 1. It is trained by expectation-maximisation (train/ivector_trainer.h), not by gradients, and takes
// whole utterances.
//
// Parameters: frames.mean, frames.deviation [D]; ubm.weights [C], ubm.means [C, D], ubm.covariances [C, D,
// D]; tv.means [C, D], tv.matrix [C, D, R]; out.mean [R], out.transform [R, R].
//
// Architecture keys: "gaussians" C, "ivector_dim" R, "ceps" 24, "deltas" 2 (orders, 0 to 2), "mean_window"
// 300 (frames; 0: the mean stays), "vad" true.
#pragma once
#include "audio/speech_frames.h"
#include "ivector/total_variability.h"
#include "models/encoder.h"

extern const EncoderKind ivector_kind;

typedef struct IvectorConfig {
    int64_t gaussians, ivector_dim, ceps, deltas, mean_window;
    bool vad;
} IvectorConfig;

// For training. The views point into the parameters.
const IvectorConfig *ivector_config(const Encoder *encoder);
int64_t ivector_frame_dim(const Encoder *encoder);
Gmm ivector_ubm(Encoder *encoder);
TotalVariability ivector_tv(Encoder *encoder);
// frames [fbank_frames(n_samples), D], standardised by frames.mean and frames.deviation; returns how many.
int64_t ivector_frames(const Encoder *encoder, const float *samples, int64_t n_samples, float *frames);
