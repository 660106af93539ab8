#include "audio/room.h"

#include <math.h>

#include "audio/biquad.h"

void room_reverberate(Rng *rng, double t60, double direct_db, double rate_hz, const float *dry, int64_t n,
                      float *wet, int64_t tail)
{
    const double pulses_per_second = 1500;
    int64_t n_pulses = (int64_t)(pulses_per_second * (double)tail / rate_hz);
    double energy = 0; // of the pulses at unit gain: sum of exp(-2 decay t)
    double decay = log(1000) / t60;
    for (int64_t p = 0; p < n_pulses; p++)
        energy += exp(-2 * decay * (double)p / pulses_per_second);
    double scale = pow(10, -direct_db / 20) / sqrt(fmax(energy, 1));

    for (int64_t i = 0; i < n; i++)
        wet[i] += dry[i];
    for (int64_t p = 0; p < n_pulses; p++) {
        double seconds = ((double)p + rng_uniform(rng)) / pulses_per_second;
        int64_t delay = (int64_t)(seconds * rate_hz);
        float gain = (float)((rng_below(rng, 2) ? scale : -scale) * exp(-decay * seconds));
        if (delay >= tail)
            continue;
        for (int64_t i = 0; i < n; i++)
            wet[i + delay] += gain * dry[i];
    }
}

void room_microphone(Rng *rng, double channel_db, double rate_hz, float *x, int64_t n)
{
    double cut = exp(-2 * M_PI * rng_range(rng, 40, 160) / rate_hz);
    biquad_apply(&(Biquad){(1 + cut) / 2, -(1 + cut) / 2, 0, -cut, 0}, x, n);
    const double centres_hz[3][2] = {{150, 600}, {600, 2000}, {2000, 6500}};
    for (int band = 0; band < 3; band++) {
        double centre = rng_range(rng, centres_hz[band][0], centres_hz[band][1]);
        double gain_db = rng_range(rng, -channel_db, channel_db), q = rng_range(rng, 0.4, 1.2);
        Biquad peak = biquad_peak(centre, gain_db, q, rate_hz);
        biquad_apply(&peak, x, n);
    }
}

double root_mean_square(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum / (double)(n > 0 ? n : 1)) + 1e-9;
}

void room_noise(Rng *rng, double rate_hz, float *noise, int64_t n)
{
    double pole = rng_range(rng, 0, 0.97), state = 0;
    for (int64_t i = 0; i < n; i++) {
        state = pole * state + rng_uniform(rng) - 0.5;
        noise[i] = (float)state;
    }
    double centre_hz = rng_range(rng, 100, 4000), gain_db = rng_range(rng, 0, 12), q = rng_range(rng, 0.5, 5);
    Biquad peak = biquad_peak(centre_hz, gain_db, q, rate_hz);
    biquad_apply(&peak, noise, n);
}
