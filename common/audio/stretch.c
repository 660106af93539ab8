#include "audio/stretch.h"

#include <math.h>
#include <soxr.h>
#include <string.h>

#include "audio/channels.h"
#include "audio/decode.h"
#include "audio/recording.h"
#include "audio/sound.h"
#include "base/memory.h"

// mono [n] from frames [n, channels]; -1 where a sample is not finite.
static int mix_down(const float *frames, int64_t n, int n_channels, int channel, float *mono, Error *error)
{
    ChannelPlan plan = {.take = channel, .limit = INFINITY};
    ChannelsSeen seen = {0};
    bool finite;
    do {
        channels_release(&seen);
        channels_init(&seen, n_channels, &plan);
        finite = channels_mix(&seen, frames, n, mono);
    } while (finite && channels_revise(&seen, &plan));
    float gain = channels_gain(&seen);
    for (int64_t i = 0; i < n; i++)
        mono[i] *= gain;
    channels_release(&seen);
    return finite ? 0 : error_set(error, "a sample is infinite or not a number");
}

// Up to n_wanted frames from `place`, as mono at the file's own rate; how many in *n.
static int read_mono(Sound *sound, double place, int channel, int64_t n_wanted, float *mono, int64_t *n,
                     Error *error)
{
    int64_t spare = sound_count(sound) - n_wanted;
    float *frames = mem_alloc((size_t)n_wanted * (size_t)sound->channels, sizeof(float));
    int status = 0;
    *n = spare > 0 && !sound_seek(sound, (int64_t)(place * (double)spare))
             ? 0
             : sound_read(sound, frames, n_wanted);
    if (*n <= 0)
        status = error_set(error, "no samples");
    else
        status = mix_down(frames, *n, sound->channels, channel, mono, error);
    mem_free(frames);
    return status;
}

static int resample_whole(const float *in, int64_t n_in, int rate_hz, float *out, int64_t n_out,
                          int64_t *n_done, Error *error)
{
    size_t done = 0;
    soxr_error_t failed = soxr_oneshot(rate_hz, DECODE_RATE_HZ, 1, in, (size_t)n_in, NULL, out, (size_t)n_out,
                                       &done, NULL, NULL, NULL);
    if (failed)
        return error_set(error, "cannot be resampled: %s", failed);
    *n_done = (int64_t)done;
    return done > 0 ? 0 : error_set(error, "no samples");
}

static int read_sound(Sound *sound, double place, int channel, float *samples, int64_t n, int64_t *n_done,
                      Error *error)
{
    int64_t n_wanted = n * sound->rate_hz / DECODE_RATE_HZ + 1, n_read;
    float *mono = mem_alloc((size_t)n_wanted, sizeof(float));
    int status = read_mono(sound, place, channel, n_wanted, mono, &n_read, error);
    if (status == 0)
        status = resample_whole(mono, n_read, sound->rate_hz, samples, n, n_done, error);
    mem_free(mono);
    return status;
}

// At most n samples at 16 kHz; how many in *n_done, at least one.
static int read_part(const char *path, double place, int channel, float *samples, int64_t n, int64_t *n_done,
                     Error *error)
{
    Recording recording;
    Sound sound;
    if (recording_open(path, false, &recording, error) < 0)
        return error_prefix(error, "%s", path);
    int status = sound_open(&recording.streams[0], &sound, error);
    if (status == 0) {
        status = read_sound(&sound, place, channel, samples, n, n_done, error);
        sound_close(&sound);
    }
    if (recording_check_reading(&recording, error) < 0)
        status = -1;
    recording_close(&recording);
    return status < 0 ? error_prefix(error, "%s", path) : 0;
}

int audio_read_stretch(const char *path, double place, float *samples, int64_t n, Error *error)
{
    int64_t n_done;
    if (read_part(path, place, DECODE_ALL_CHANNELS, samples, n, &n_done, error) < 0)
        return -1;
    for (int64_t i = n_done; i < n; i++)
        samples[i] = samples[i - n_done];
    return 0;
}

int audio_read_response(const char *path, float *taps, int64_t max_taps, int64_t *n_taps, Error *error)
{
    int64_t n;
    if (read_part(path, 0, 0, taps, max_taps, &n, error) < 0)
        return -1;
    double energy = 0;
    for (int64_t i = 0; i < n; i++)
        energy += (double)taps[i] * taps[i];
    if (energy == 0)
        return error_set(error, "%s: a silent room response", path);
    for (int64_t i = 0; i < n; i++)
        taps[i] = (float)(taps[i] / sqrt(energy));
    *n_taps = n;
    return 0;
}
