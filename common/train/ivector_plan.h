// What training an i-vector extractor would take, before anybody pays for it: iterations on a little noise
// are timed and scaled up. Nothing is read or written; what reading the audio and making MFCC takes is not
// counted.
#pragma once
#include "train/ivector_trainer.h"

enum { PLAN_UTTERANCE_SECONDS = 8 }; // VoxCeleb's mean

// Bytes: the larger of the frames that train the mixture and the sums that an iteration of the matrix
// gathers, and the model.
double ivector_memory(const IvectorTraining *options, const Encoder *encoder, const Parameters *parameters);

// Logs memory and time for so many utterances. encoder: of kind ivector, with its parameters, which are
// overwritten.
int ivector_plan(const IvectorTraining *options, int64_t n_utts, Encoder *encoder, Parameters *parameters,
                 Error *error);
