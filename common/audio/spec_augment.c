#include "audio/spec_augment.h"

#include <string.h>

typedef struct Span {
    int64_t start, length;
} Span;

static Span draw_span(Rng *rng, int64_t n, int64_t longest)
{
    int64_t most = n < longest ? n : longest;
    int64_t length = 1 + (int64_t)rng_below(rng, (uint64_t)most);
    return (Span){(int64_t)rng_below(rng, (uint64_t)(n - length + 1)), length};
}

void spec_augment(Rng *rng, float *features, int64_t n_frames, int64_t n_bins)
{
    Span frames = draw_span(rng, n_frames, SPEC_AUGMENT_FRAMES);
    Span bins = draw_span(rng, n_bins, SPEC_AUGMENT_BINS);
    memset(features + frames.start * n_bins, 0, (size_t)(frames.length * n_bins) * sizeof(float));
    for (int64_t t = 0; t < n_frames; t++)
        memset(features + t * n_bins + bins.start, 0, (size_t)bins.length * sizeof(float));
}
