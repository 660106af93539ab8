// Baum-Welch statistics of an utterance: occupation N_c = sum over frames of the posterior of Gaussian c, and
// F_c = sum of posterior * frame. As in Kaldi, a frame counts for its IVECTOR_TOP most likely Gaussians
// alone.
#pragma once
#include "ivector/gmm.h"

enum { IVECTOR_TOP = 20 };

// frames [n_frames, D] -> occupation [C], sums [C, D]
void ivector_statistics(const GmmScorer *scorer, const float *frames, int64_t n_frames, float *occupation,
                        float *sums);
