#include "score/statistics_baseline.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

Fbank *statistics_fbank(void)
{
    FbankOptions options = fbank_defaults();
    options.n_ceps = STATISTICS_CEPSTRA;
    options.dither = 0;
    return fbank_create(&options);
}

void statistics_embedding(const Fbank *fbank, const float *samples, int64_t n_samples, float *embedding)
{
    int64_t n_frames = fbank_frames(n_samples);
    memset(embedding, 0, STATISTICS_DIM * sizeof(float));
    if (n_frames < 1)
        return;
    float *features = mem_alloc((size_t)n_frames, STATISTICS_CEPSTRA * sizeof(float)); // [frame, cepstrum]
    fbank_compute(fbank, samples, n_samples, NULL, features);
    for (int c = 0; c < STATISTICS_CEPSTRA; c++) {
        double sum = 0, squares = 0;
        for (int64_t t = 0; t < n_frames; t++)
            sum += features[t * STATISTICS_CEPSTRA + c];
        double mean = sum / (double)n_frames;
        for (int64_t t = 0; t < n_frames; t++)
            squares +=
                (features[t * STATISTICS_CEPSTRA + c] - mean) * (features[t * STATISTICS_CEPSTRA + c] - mean);
        embedding[c] = (float)mean;
        embedding[STATISTICS_CEPSTRA + c] = (float)sqrt(squares / (double)n_frames);
    }
    mem_free(features);
}
