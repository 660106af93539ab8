// Random numbers whose position is plain integers. A stream is a function of (seed, consumer, a, b): every
// consumer (weights, crops of step 17, dropout of layer 3 in step 17 ...) opens its own, so nothing depends
// on the order in which threads run, and a resumed run draws what the uninterrupted one would have drawn.
//
// Counter-based: draw number n is a mix of (key, n), as in Salmon et al., "Parallel random numbers: as easy
// as 1, 2, 3" (2011); the mixing function is the 64-bit finaliser of SplitMix64 (Steele et al. 2014), applied
// twice.
#pragma once
#include <stdint.h>

typedef struct Rng {
    uint64_t key;
    uint64_t counter;
} Rng;

Rng rng_stream(uint64_t seed, const char *consumer, uint64_t a, uint64_t b);

static inline uint64_t rng_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
// What rng_next() and rng_uniform() give for the n-th time from here, n >= 1, without moving the stream:
// inlined, so that loops over n vectorise.
static inline uint64_t rng_ahead(const Rng *rng, uint64_t n)
{
    return rng_mix(rng_mix(rng->key + 0x9e3779b97f4a7c15u * (rng->counter + n)) ^ rng->key);
}
static inline double rng_uniform_ahead(const Rng *rng, uint64_t n)
{
    return (double)(rng_ahead(rng, n) >> 11) * 0x1p-53;
}

uint64_t rng_next(Rng *rng);              // 64 random bits
uint64_t rng_below(Rng *rng, uint64_t n); // uniform in [0, n); n > 0
double rng_uniform(Rng *rng);             // uniform in [0, 1), 53 bits
double rng_range(Rng *rng, double low, double high);
double rng_normal(Rng *rng); // standard normal (Box-Muller, two draws)
void rng_shuffle(Rng *rng, int64_t *items, int64_t n);
