// What no training gives: mean and standard deviation over frames of MFCCs, as an embedding. No mean is
// subtracted, so it knows the channel; on corpora with one session per speaker it is hard to beat, and a
// model that does not beat it has learnt little. evaluate prints its EER beside the model's.
#pragma once
#include <stdint.h>
#include "audio/fbank.h"

enum { STATISTICS_CEPSTRA = 20, STATISTICS_DIM = 2 * STATISTICS_CEPSTRA };

Fbank *statistics_fbank(void); // its feature extractor; freed with fbank_destroy()
// samples in [-1, 1); embedding [STATISTICS_DIM]. Zeros where there is no frame.
void statistics_embedding(const Fbank *fbank, const float *samples, int64_t n_samples, float *embedding);
