// Trains an i-vector extractor (models/ivector_encoder.h) on a corpus: the mixture on a sample of the frames,
// diagonal at first, then full; the total variability matrix on whole utterances, streamed; at the end the
// i-vectors' mean and whitening. Every iteration is logged with its log-likelihood and leaves the model so
// far in <model>.resume: killed at any moment, the same call goes on from there and ends with the same bytes.
#pragma once
#include "cache/corpus.h"
#include "models/encoder.h"
#include "nn/parameters.h"

typedef struct IvectorTraining {
    int64_t diagonal_iterations, full_iterations, tv_iterations;
    int64_t ubm_frames; // at most so many train the mixture
    int64_t tv_utts;    // and so many utterances, the longest, the matrix
    double prior;       // of the mixture's covariances, in frames (ivector/gmm.h)
    int64_t seed;
    const char *model_path, *recipe;
} IvectorTraining;

// encoder: of kind ivector, with its parameters, which are filled in.
int ivector_train(const IvectorTraining *options, const Corpus *corpus, Encoder *encoder,
                  Parameters *parameters, Error *error);
// After publishing the model: resume_finish(options->model_path).
