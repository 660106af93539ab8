#include "demo/scene.h"

#include <math.h>

#include "audio/room.h"
#include "base/memory.h"

static void add_noise(Rng *rng, double snr_db, double rate_hz, float *x, int64_t n)
{
    float *noise = mem_alloc((size_t)n, sizeof(float));
    room_noise(rng, rate_hz, noise, n);
    double gain = root_mean_square(x, n) / root_mean_square(noise, n) * pow(10, -snr_db / 20);
    for (int64_t i = 0; i < n; i++)
        x[i] += (float)(gain * noise[i]);
    mem_free(noise);
}

static void set_level(double level_db, float *x, int64_t n)
{
    double peak = 1e-9, gain = pow(10, level_db / 20) / root_mean_square(x, n);
    for (int64_t i = 0; i < n; i++)
        peak = fmax(peak, fabs(x[i]));
    gain = fmin(gain, 0.95 / peak); // no clipping
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(gain * x[i]);
}

float *scene_record(const SceneOptions *options, Rng *rng, double rate_hz, const float *dry, int64_t n,
                    int64_t *n_wet)
{
    double t60 = rng_range(rng, 0.1, fmax(0.1, options->reverb_seconds_max));
    double direct_db = rng_range(rng, 3, 15);
    int64_t before = (int64_t)(rng_range(rng, 0.05, 0.3) * rate_hz);
    int64_t tail = (int64_t)(t60 * rate_hz);
    *n_wet = before + n + tail;
    float *wet = mem_zero((size_t)*n_wet, sizeof(float));

    room_reverberate(rng, t60, direct_db, rate_hz, dry, n, wet + before, tail);
    room_microphone(rng, options->channel_db, rate_hz, wet, *n_wet);
    add_noise(rng, rng_range(rng, options->snr_db_min, options->snr_db_max), rate_hz, wet, *n_wet);
    set_level(rng_range(rng, -32, -18), wet, *n_wet);
    return wet;
}
