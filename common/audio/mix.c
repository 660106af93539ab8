#include "audio/mix.h"

#include <math.h>

static const double LEAST_DB = -5, MOST_DB = 5;

MixPlace mix_draw(Rng *rng, int64_t n_samples)
{
    MixPlace place = {.n = 1 + (int64_t)rng_below(rng, (uint64_t)(n_samples / 2 + 1))};
    place.start = (int64_t)rng_below(rng, (uint64_t)(n_samples - place.n + 1));
    place.snr_db = rng_range(rng, LEAST_DB, MOST_DB);
    return place;
}

static double mean_square(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum / (double)n;
}

void mix_apply(const MixPlace *place, const float *other, float *samples, int64_t n_samples)
{
    double own = mean_square(samples, n_samples), its = mean_square(other, place->n);
    if (!(own > 0 && its > 0))
        return;
    float factor = (float)sqrt(own / its * pow(10, -place->snr_db / 10));
    for (int64_t i = 0; i < place->n; i++)
        samples[place->start + i] += factor * other[i];
}
