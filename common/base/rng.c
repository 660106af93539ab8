#include "base/rng.h"

#include <math.h>

Rng rng_stream(uint64_t seed, const char *consumer, uint64_t a, uint64_t b)
{
    uint64_t key = rng_mix(seed + 0x9e3779b97f4a7c15u);
    for (const char *c = consumer; *c; c++)
        key = rng_mix(key ^ (uint64_t)(unsigned char)*c) + 0x9e3779b97f4a7c15u;
    key = rng_mix(key ^ a) + 0x9e3779b97f4a7c15u;
    key = rng_mix(key ^ b);
    return (Rng){.key = key};
}

uint64_t rng_next(Rng *rng)
{
    rng->counter++;
    return rng_ahead(rng, 0);
}

uint64_t rng_below(Rng *rng, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)rng_next(rng) * n) >> 64);
}

double rng_uniform(Rng *rng)
{
    rng->counter++;
    return rng_uniform_ahead(rng, 0);
}

double rng_range(Rng *rng, double low, double high)
{
    return low + (high - low) * rng_uniform(rng);
}

double rng_normal(Rng *rng)
{
    double radius = sqrt(-2.0 * log(1.0 - rng_uniform(rng)));
    return radius * cos(6.283185307179586 * rng_uniform(rng));
}

void rng_shuffle(Rng *rng, int64_t *items, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)rng_below(rng, (uint64_t)i + 1);
        int64_t item = items[i];
        items[i] = items[j];
        items[j] = item;
    }
}
