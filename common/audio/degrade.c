#include "audio/degrade.h"

#include <math.h>

#include "audio/biquad.h"
#include "audio/decode.h"

enum { CLIP = 1, BAND_LIMIT = 2, MU_LAW = 4, ALL = 7 };

static float clamp(float x, float most)
{
    return fminf(fmaxf(x, -most), most);
}

void degrade_clip(Rng *rng, float *samples, int64_t n)
{
    float peak = 0;
    for (int64_t i = 0; i < n; i++)
        peak = fmaxf(peak, fabsf(samples[i]));
    float level = peak * (float)pow(10, -rng_range(rng, 3, 15) / 20);
    for (int64_t i = 0; i < n; i++)
        samples[i] = clamp(samples[i], level);
}

// Section k of a Butterworth filter of order N has Q = 1 / (2 cos(pi (2k + 1) / (2N))).
static double butterworth_q(int k, int order)
{
    return 1 / (2 * cos(M_PI * (2 * k + 1) / (2 * order)));
}

void degrade_band_limit(float *samples, int64_t n)
{
    const int low_order = 4, high_order = 8;
    for (int k = 0; k < low_order / 2; k++) {
        Biquad section = biquad_high_pass(300, butterworth_q(k, low_order), DECODE_RATE_HZ);
        biquad_apply(&section, samples, n);
    }
    for (int k = 0; k < high_order / 2; k++) {
        Biquad section = biquad_low_pass(3400, butterworth_q(k, high_order), DECODE_RATE_HZ);
        biquad_apply(&section, samples, n);
    }
}

void degrade_mu_law(float *samples, int64_t n)
{
    const float mu = 255;
    for (int64_t i = 0; i < n; i++) {
        float x = clamp(samples[i], 1), y = copysignf(log1pf(mu * fabsf(x)) / log1pf(mu), x);
        y = (2 * roundf((y + 1) / 2 * 255) - 255) / 255; // an even number of steps: none is 0
        samples[i] = copysignf(expm1f(fabsf(y) * log1pf(mu)) / mu, y);
    }
}

void degrade(Rng *rng, float *samples, int64_t n)
{
    uint64_t what = 1 + rng_below(rng, ALL);
    if (what & CLIP)
        degrade_clip(rng, samples, n);
    if (what & BAND_LIMIT)
        degrade_band_limit(samples, n);
    if (what & MU_LAW)
        degrade_mu_law(samples, n);
}
