#include "audio/channels.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

static const double CARRIES_SOUND = 1e-4, CANCELS = 0.5, CANCELLED_SHARE = 0.25; // shares of energies

void channels_init(ChannelsSeen *seen, int n_channels, const ChannelPlan *plan)
{
    *seen = (ChannelsSeen){.n_channels = n_channels, .plan = *plan};
    seen->energies = mem_zero((size_t)n_channels, sizeof(double));
    seen->sums = mem_zero(2 * (size_t)n_channels + 2, sizeof(double));
}

void channels_release(ChannelsSeen *seen)
{
    mem_free(seen->energies);
    mem_free(seen->sums);
}

// Counts what lies beyond full scale. False where a sample is not finite.
static bool survey_samples(ChannelsSeen *seen, const float *samples, int64_t n)
{
    float peak = 0, check = 0; // becomes NaN with the first sample that is not finite
    for (int64_t i = 0; i < n; i++) {
        float size = fabsf(samples[i]);
        peak = size > peak ? size : peak;
        check += samples[i] * 0;
    }
    if (check != 0)
        return false;
    for (int64_t i = 0; i < n && peak > 1; i++)
        if (fabsf(samples[i]) > 1) {
            int exponent;
            float mantissa = frexpf(fabsf(samples[i]), &exponent); // in [0.5, 1)
            seen->n_beyond[mantissa == 0.5f ? exponent - 2 : exponent - 1]++;
        }
    seen->peak = fmaxf(seen->peak, peak);
    seen->n_samples += n;
    return true;
}

static float hold(float x, float limit)
{
    return x > limit ? limit : x < -limit ? -limit : x;
}

// One frame -> its mean, or the channel taken.
static float mix_frame(ChannelsSeen *seen, const float *frame)
{
    int n = seen->n_channels;
    float limit = seen->plan.limit;
    double sum = 0, *sums = seen->sums, *squares = sums + n + 1;
    for (int c = 0; c < n; c++) {
        double x = hold(frame[c], limit);
        seen->n_held += fabsf(frame[c]) > limit;
        sum += x;
        sums[c] += x;
        squares[c] += x * x;
    }
    double mean = sum / n;
    sums[n] += mean;
    squares[n] += mean * mean;
    return seen->plan.take < 0 ? (float)mean : hold(frame[seen->plan.take], limit);
}

static double energy_of(const double *sums, const double *squares, int c, int64_t n)
{
    return fmax(squares[c] - sums[c] * sums[c] / (double)n, 0);
}

static void survey_block(ChannelsSeen *seen, int64_t n_frames)
{
    int n = seen->n_channels;
    double *sums = seen->sums, *squares = sums + n + 1, energy = 0;
    for (int c = 0; c < n; c++) {
        double own = energy_of(sums, squares, c, n_frames);
        seen->energies[c] += own;
        energy += own;
    }
    seen->energy += energy;
    if (energy_of(sums, squares, n, n_frames) < CANCELS * energy / n / n)
        seen->cancelled += energy;
    memset(sums, 0, (2 * (size_t)n + 2) * sizeof(double));
}

bool channels_mix(ChannelsSeen *seen, const float *frames, int64_t n, float *mono)
{
    if (!survey_samples(seen, frames, n * seen->n_channels))
        return false;
    if (seen->n_channels == 1 && seen->plan.limit == INFINITY) {
        memcpy(mono, frames, (size_t)n * sizeof(float));
        return true;
    }
    for (int64_t i = 0; i < n; i++)
        mono[i] = mix_frame(seen, frames + i * seen->n_channels);
    survey_block(seen, n);
    return true;
}

// What all samples but a few keep within, as a power of two, at least full scale.
static float usual_peak(const ChannelsSeen *seen)
{
    int64_t few = seen->n_samples / 1000, n_beyond = 0;
    few = few < 16 ? 16 : few > 8000 ? 8000 : few;
    for (int e = CHANNELS_EXPONENTS - 1; e >= 0; e--)
        if ((n_beyond += seen->n_beyond[e]) > few)
            return ldexpf(1, e + 1);
    return 1;
}

static int loudest(const ChannelsSeen *seen)
{
    int best = 0;
    for (int c = 1; c < seen->n_channels; c++)
        if (seen->energies[c] > seen->energies[best])
            best = c;
    return best;
}

bool channels_revise(const ChannelsSeen *seen, ChannelPlan *plan)
{
    float usual = usual_peak(seen);
    if (plan->limit == INFINITY && seen->peak > 2 * usual) {
        plan->limit = usual;
        return true;
    }
    if (plan->take == CHANNELS_MEAN && seen->n_channels > 1 &&
        seen->cancelled > CANCELLED_SHARE * seen->energy) {
        plan->take = loudest(seen);
        return true;
    }
    return false;
}

float channels_gain(const ChannelsSeen *seen)
{
    int n_sounding = 0;
    double most = seen->energies[loudest(seen)];
    for (int c = 0; c < seen->n_channels; c++)
        n_sounding += seen->energies[c] > CARRIES_SOUND * most;
    return seen->plan.take >= 0 || n_sounding == 0 ? 1 : (float)seen->n_channels / (float)n_sounding;
}
