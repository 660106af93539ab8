#include "audio/decode.h"

#include <math.h>
#include <sndfile.h>
#include <soxr.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/memory.h"

enum { BLOCK_FRAMES = 16384, MAX_CHANNELS = 256 };

// What has come out so far, and what decides whether it is accepted.
typedef struct Sink {
    int16_t *samples; // [n], room for `capacity`
    int64_t n, capacity;
    double energy; // sum of squares
} Sink;

static void sink_write(Sink *sink, const float *block, size_t n)
{
    if (sink->n + (int64_t)n > sink->capacity) {
        sink->capacity = 2 * sink->capacity + (int64_t)n;
        sink->samples = mem_grow(sink->samples, (size_t)sink->capacity, sizeof(int16_t));
    }
    for (size_t i = 0; i < n; i++) {
        float scaled = fminf(fmaxf(block[i] * 32768.0f, -32768.0f), 32767.0f);
        sink->samples[sink->n++] = (int16_t)lrintf(scaled);
        sink->energy += (double)block[i] * block[i];
    }
}

// frames [n, channels] -> mono [n], in place at the front. False where a sample is not finite.
static bool mix_down(float *frames, int64_t n, int channels)
{
    double check = 0; // becomes NaN with the first sample that is not finite
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int c = 0; c < channels; c++)
            sum += frames[i * channels + c];
        check += sum * 0;
        frames[i] = (float)(sum / channels);
    }
    return check == 0;
}

// Sends mono [n] through the resampler (NULL: the rate is right). mono NULL: the end of the input.
static int push(soxr_t resampler, const float *mono, size_t n, float *out, size_t capacity, Sink *sink,
                Error *error)
{
    if (!resampler) {
        sink_write(sink, mono, n);
        return 0;
    }
    size_t used = 0, done = 0;
    do {
        size_t step = 0;
        soxr_error_t failed = soxr_process(resampler, mono ? mono + used : NULL, n - used,
                                           mono ? &step : NULL, out, capacity, &done);
        if (failed)
            return error_set(error, "cannot be resampled: %s", failed);
        used += step;
        sink_write(sink, out, done);
    } while (used < n || (!mono && done > 0));
    return 0;
}

static int read_all(SNDFILE *file, const SF_INFO *info, soxr_t resampler, int64_t *n_read, Sink *sink,
                    Error *error)
{
    float *frames = mem_alloc((size_t)BLOCK_FRAMES * (size_t)info->channels, sizeof(float));
    float *out = mem_alloc(BLOCK_FRAMES, sizeof(float));
    int status = 0;
    *n_read = 0;
    for (int64_t n; status == 0 && (n = sf_readf_float(file, frames, BLOCK_FRAMES)) > 0; *n_read += n)
        if (!mix_down(frames, n, info->channels))
            status = error_set(error, "not finite: a sample after %.1f s is infinite or not a number",
                               (double)*n_read / info->samplerate);
        else
            status = push(resampler, frames, (size_t)n, out, BLOCK_FRAMES, sink, error);
    if (status == 0 && resampler)
        status = push(resampler, NULL, 0, out, BLOCK_FRAMES, sink, error);
    if (status == 0 && sf_error(file) != SF_ERR_NO_ERROR)
        status = error_set(error, "corrupt after %.1f s: %s", (double)*n_read / info->samplerate,
                           sf_strerror(file));
    mem_free(out);
    mem_free(frames);
    return status;
}

// Half a second of slack: compressed formats round their length to packets.
static int check_length(const SF_INFO *info, int64_t n_read, Error *error)
{
    double found = (double)n_read / info->samplerate, promised = (double)info->frames / info->samplerate;
    if (info->frames == SF_COUNT_MAX || promised <= found + 0.5)
        return 0;
    return error_set(error, "cut off: holds %.1f s of the %.1f s that its header promises", found, promised);
}

static int check_content(const Sink *sink, const DecodeLimits *limits, Error *error)
{
    double seconds = (double)sink->n / DECODE_RATE_HZ;
    if (sink->n == 0)
        return error_set(error, "empty: no samples");
    if (seconds < limits->min_seconds)
        return error_set(error, "too short: %.2f s, less than %g s", seconds, limits->min_seconds);
    if (sink->energy == 0)
        return error_set(error, "silent: every sample is zero");
    double level_db = 10 * log10(sink->energy / (double)sink->n);
    if (level_db < limits->silence_db)
        return error_set(error, "silent: %.0f dB below full scale", -level_db);
    return 0;
}

static int decode_open(SNDFILE *file, const SF_INFO *info, const DecodeLimits *limits, Sink *sink,
                       Error *error)
{
    if (info->channels < 1 || info->channels > MAX_CHANNELS || info->samplerate < 100)
        return error_set(error, "unreadable: %d channels at %d Hz", info->channels, info->samplerate);
    soxr_t resampler = NULL;
    if (info->samplerate != DECODE_RATE_HZ) {
        soxr_error_t failed = NULL;
        resampler = soxr_create(info->samplerate, DECODE_RATE_HZ, 1, &failed, NULL, NULL, NULL);
        if (!resampler)
            return error_set(error, "cannot be resampled from %d Hz: %s", info->samplerate, failed);
    }
    int64_t n_read = 0;
    int status = read_all(file, info, resampler, &n_read, sink, error);
    soxr_delete(resampler);
    if (status == 0)
        status = check_length(info, n_read, error);
    return status == 0 ? check_content(sink, limits, error) : -1;
}

int audio_decode(const char *path, const DecodeLimits *limits, int16_t **samples, int64_t *n, Error *error)
{
    SF_INFO info = {0};
    SNDFILE *file = sf_open(path, SFM_READ, &info);
    if (!file) {
        struct stat status;
        if (stat(path, &status) == 0 && status.st_size == 0)
            return error_set(error, "empty: a file of no bytes");
        return error_set(error, "unreadable: %s", sf_strerror(NULL));
    }
    Sink sink = {0};
    int status = decode_open(file, &info, limits, &sink, error);
    sf_close(file);
    if (status != 0) {
        mem_free(sink.samples);
        return -1;
    }
    *samples = sink.samples;
    *n = sink.n;
    return 0;
}

// Reads up to n_wanted frames from a random place, as mono at the file's own rate.
static int64_t read_frames(SNDFILE *file, const SF_INFO *info, Rng *rng, int64_t n_wanted, float **mono)
{
    int64_t spare = info->frames - n_wanted;
    double place = rng_uniform(rng);
    if (spare > 0 && info->seekable)
        sf_seek(file, (sf_count_t)(place * (double)spare), SEEK_SET);
    *mono = mem_alloc((size_t)n_wanted * (size_t)info->channels, sizeof(float));
    int64_t n = sf_readf_float(file, *mono, n_wanted);
    return n > 0 && mix_down(*mono, n, info->channels) ? n : 0;
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
    return 0;
}

int audio_read_stretch(const char *path, Rng *rng, float *samples, int64_t n, Error *error)
{
    SF_INFO info = {0};
    SNDFILE *file = sf_open(path, SFM_READ, &info);
    if (!file || info.channels < 1 || info.channels > MAX_CHANNELS || info.samplerate < 100) {
        error_set(error, "%s: unreadable: %s", path, sf_strerror(file));
        sf_close(file);
        return -1;
    }
    float *mono = NULL;
    int64_t n_wanted = n * info.samplerate / DECODE_RATE_HZ + 1, n_done = 0;
    int64_t n_read = read_frames(file, &info, rng, n_wanted, &mono);
    sf_close(file);
    int status = n_read > 0 ? resample_whole(mono, n_read, info.samplerate, samples, n, &n_done, error)
                            : error_set(error, "no usable samples");
    mem_free(mono);
    if (status < 0 || n_done == 0)
        return error_prefix(error, "%s", path);
    for (int64_t i = n_done; i < n; i++)
        samples[i] = samples[i - n_done];
    return 0;
}
