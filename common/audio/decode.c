#include "audio/decode.h"

#include <math.h>
#include <sndfile.h>
#include <soxr.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"

enum { BLOCK_FRAMES = 16384, MAX_CHANNELS = 256 };

// What has come out so far.
typedef struct Sink {
    float *samples;            // [n], room for `capacity`; full scale 1
    int64_t n, capacity, most; // 0: as many as come
} Sink;

static int sink_write(Sink *sink, const float *block, size_t n, Error *error)
{
    if (n == 0)
        return 0;
    if (sink->most > 0 && sink->n + (int64_t)n > sink->most)
        return error_set(error, "too long: more than %g s; cut it into pieces",
                         (double)sink->most / DECODE_RATE_HZ);
    if (sink->n + (int64_t)n > sink->capacity) {
        sink->capacity = 2 * sink->capacity + (int64_t)n;
        sink->samples = mem_grow(sink->samples, (size_t)sink->capacity, sizeof(float));
    }
    memcpy(sink->samples + sink->n, block, n * sizeof(float));
    sink->n += (int64_t)n;
    return 0;
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
    if (!resampler)
        return sink_write(sink, mono, n, error);
    size_t used = 0, done = 0;
    do {
        size_t step = 0;
        soxr_error_t failed = soxr_process(resampler, mono ? mono + used : NULL, n - used,
                                           mono ? &step : NULL, out, capacity, &done);
        if (failed)
            return error_set(error, "cannot be resampled: %s", failed);
        used += step;
        if (sink_write(sink, out, done, error) < 0)
            return -1;
    } while (used < n || (!mono && done > 0));
    return 0;
}

// How much to read next; n_wanted < 0: to the end.
static int64_t block_of(int64_t n_wanted, int64_t n_read)
{
    return n_wanted < 0 || n_wanted - n_read > BLOCK_FRAMES ? BLOCK_FRAMES : n_wanted - n_read;
}

static int read_frames_into(Sink *sink, SNDFILE *file, const SF_INFO *info, soxr_t resampler,
                            int64_t n_wanted, int64_t *n_read, Error *error)
{
    float *frames = mem_alloc((size_t)BLOCK_FRAMES * (size_t)info->channels, sizeof(float));
    float *out = mem_alloc(BLOCK_FRAMES, sizeof(float));
    int status = 0;
    *n_read = 0;
    for (int64_t n; status == 0 && (n = sf_readf_float(file, frames, block_of(n_wanted, *n_read))) > 0;
         *n_read += n)
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

// Root mean square around the mean: a constant is silence, too.
static double level_db(const Sink *sink)
{
    double sum = 0, energy = 0;
    for (int64_t i = 0; i < sink->n; i++) {
        sum += sink->samples[i];
        energy += (double)sink->samples[i] * sink->samples[i];
    }
    double mean = sum / (double)sink->n;
    return 10 * log10(fmax(energy / (double)sink->n - mean * mean, 1e-30));
}

static int check_content(const Sink *sink, const DecodeLimits *limits, Error *error)
{
    double seconds = (double)sink->n / DECODE_RATE_HZ;
    if (sink->n == 0)
        return error_set(error, "empty: no samples");
    if (seconds < limits->min_seconds)
        return error_set(error, "too short: %.2f s, less than %g s", seconds, limits->min_seconds);
    double level = level_db(sink);
    if (level < -250)
        return error_set(error, "silent: every sample is zero");
    if (level < limits->silence_db)
        return error_set(error, "silent: %.0f dB below full scale", -level);
    return 0;
}

// Floats beyond full scale (some are in int16 units) are scaled down as a whole; clipping would ruin them.
static int16_t *to_pcm(const Sink *sink)
{
    float peak = 1;
    for (int64_t i = 0; i < sink->n; i++)
        peak = fmaxf(peak, fabsf(sink->samples[i]));
    int16_t *pcm = mem_alloc((size_t)sink->n, sizeof *pcm);
    for (int64_t i = 0; i < sink->n; i++)
        pcm[i] = (int16_t)fminf(rintf(sink->samples[i] * (32768.0f / peak)), 32767.0f);
    return pcm;
}

// A stretch, in frames of the file.
typedef struct Part {
    int64_t first, n; // n < 0: to the end
} Part;

static int go_to(SNDFILE *file, const SF_INFO *info, const Part *part, Error *error)
{
    if (part->first == 0 || sf_seek(file, part->first, SEEK_SET) == part->first)
        return 0;
    return error_set(error, "its segment begins at %.2f s, behind the end of the recording",
                     (double)part->first / info->samplerate);
}

static int check_part(const SF_INFO *info, const Part *part, int64_t n_read, Error *error)
{
    if (part->n < 0)
        return part->first > 0 ? 0 : check_length(info, n_read, error);
    double missing = (double)(part->n - n_read) / info->samplerate;
    return missing < 0.5 ? 0 : error_set(error, "its segment ends %.2f s behind the recording", missing);
}

static int decode_open(SNDFILE *file, const SF_INFO *info, const Part *part, const DecodeLimits *limits,
                       Sink *sink, Error *error)
{
    if (go_to(file, info, part, error) < 0)
        return -1;
    soxr_t resampler = NULL;
    if (info->samplerate != DECODE_RATE_HZ) {
        soxr_error_t failed = NULL;
        resampler = soxr_create(info->samplerate, DECODE_RATE_HZ, 1, &failed, NULL, NULL, NULL);
        if (!resampler)
            return error_set(error, "cannot be resampled from %d Hz: %s", info->samplerate, failed);
    }
    int64_t n_read = 0;
    int status = read_frames_into(sink, file, info, resampler, part->n, &n_read, error);
    soxr_delete(resampler);
    if (status == 0)
        status = check_part(info, part, n_read, error);
    return status == 0 ? check_content(sink, limits, error) : -1;
}

// Writers to a pipe cannot fill in the size afterwards: they leave 0 or about 2^31 or 2^32.
static bool is_known_size(uint32_t size)
{
    return size > 0 && size < 0x7fff0000u;
}

// libsndfile quietly shortens a WAV or AIFF file that is cut off; the size in its first chunk still tells.
// Some writers miscount padding and trailing chunks, hence the slack.
static int check_container(const unsigned char head[8], int64_t n_bytes, Error *error)
{
    const int64_t slack = 4096;
    const unsigned char *s = head + 4;
    uint32_t size = 0;
    if (memcmp(head, "RIFF", 4) == 0)
        size = s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
    else if (memcmp(head, "FORM", 4) == 0)
        size = s[3] | (uint32_t)s[2] << 8 | (uint32_t)s[1] << 16 | (uint32_t)s[0] << 24;
    if (!is_known_size(size) || (int64_t)size + 8 <= n_bytes + slack)
        return 0;
    return error_set(error, "cut off: has %lld of the %lld bytes that its header promises",
                     (long long)n_bytes, (long long)size + 8);
}

static int check_file(const char *path, Error *error)
{
    struct stat status;
    unsigned char head[8];
    FILE *file = NULL;
    if (stat(path, &status) != 0 || (S_ISREG(status.st_mode) && !(file = fopen(path, "rbe"))))
        return error_set_errno(error, "unreadable");
    if (!file)
        return error_set(error, "unreadable: no regular file");
    bool whole = fread(head, 1, sizeof head, file) == sizeof head;
    fclose(file);
    if (status.st_size == 0)
        return error_set(error, "empty: a file of no bytes");
    return whole ? check_container(head, status.st_size, error) : 0;
}

// libsndfile keeps the reason why it cannot open a file in a global that other threads overwrite, so it is
// not asked: the same file must get the same reason in every run.
static SNDFILE *open_sound(const char *path, SF_INFO *info, Error *error)
{
    if (check_file(path, error) < 0)
        return NULL;
    SNDFILE *file = sf_open(path, SFM_READ, info);
    if (!file) {
        error_set(error,
                  "unreadable: damaged, or a format that libsndfile does not know (convert it to FLAC)");
    } else if (info->channels < 1 || info->channels > MAX_CHANNELS || info->samplerate < 100) {
        error_set(error, "unreadable: %d channels at %d Hz", info->channels, info->samplerate);
        sf_close(file);
        file = NULL;
    }
    return file;
}

int audio_decode(const char *path, const DecodeLimits *limits, int16_t **samples, int64_t *n, Error *error)
{
    return audio_decode_part(path, 0, -1, limits, samples, n, error);
}

int audio_decode_part(const char *path, double start, double end, const DecodeLimits *limits,
                      int16_t **samples, int64_t *n, Error *error)
{
    SF_INFO info = {0};
    SNDFILE *file = open_sound(path, &info, error);
    if (!file)
        return -1;
    Part part = {llround(start * info.samplerate), -1};
    if (end >= 0)
        part.n = llround(end * info.samplerate) - part.first;
    Sink sink = {.most = (int64_t)(limits->max_seconds * DECODE_RATE_HZ)};
    int status = decode_open(file, &info, &part, limits, &sink, error);
    sf_close(file);
    if (status == 0) {
        *samples = to_pcm(&sink);
        *n = sink.n;
    }
    mem_free(sink.samples);
    return status;
}

// Reads up to n_wanted frames as mono at the file's own rate: from a random place the mean of all channels,
// or, without a stream to draw from, from the start the first channel.
static int64_t read_frames(SNDFILE *file, const SF_INFO *info, Rng *rng, int64_t n_wanted, float **mono)
{
    int64_t spare = info->frames - n_wanted;
    double place = rng ? rng_uniform(rng) : 0;
    if (spare > 0 && info->seekable)
        sf_seek(file, (sf_count_t)(place * (double)spare), SEEK_SET);
    float *frames = *mono = mem_alloc((size_t)n_wanted * (size_t)info->channels, sizeof(float));
    int64_t n = sf_readf_float(file, frames, n_wanted);
    if (!rng)
        for (int64_t i = 0; i < n; i++)
            frames[i] = frames[i * info->channels];
    return n > 0 && mix_down(frames, n, rng ? info->channels : 1) ? n : 0;
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
    return done > 0 ? 0 : error_set(error, "no usable samples");
}

// At most n samples at 16 kHz; how many in *n_done, at least one.
static int read_part(const char *path, Rng *rng, float *samples, int64_t n, int64_t *n_done, Error *error)
{
    SF_INFO info = {0};
    SNDFILE *file = open_sound(path, &info, error);
    if (!file)
        return error_prefix(error, "%s", path);
    float *mono = NULL;
    int64_t n_wanted = n * info.samplerate / DECODE_RATE_HZ + 1;
    int64_t n_read = read_frames(file, &info, rng, n_wanted, &mono);
    sf_close(file);
    int status = n_read > 0 ? resample_whole(mono, n_read, info.samplerate, samples, n, n_done, error)
                            : error_set(error, "no usable samples");
    mem_free(mono);
    return status < 0 ? error_prefix(error, "%s", path) : 0;
}

int audio_read_stretch(const char *path, Rng *rng, float *samples, int64_t n, Error *error)
{
    int64_t n_done;
    if (read_part(path, rng, samples, n, &n_done, error) < 0)
        return -1;
    for (int64_t i = n_done; i < n; i++)
        samples[i] = samples[i - n_done];
    return 0;
}

int audio_read_response(const char *path, float *taps, int64_t max_taps, int64_t *n_taps, Error *error)
{
    int64_t n;
    if (read_part(path, NULL, taps, max_taps, &n, error) < 0)
        return -1;
    double energy = 0;
    for (int64_t i = 0; i < n; i++)
        energy += (double)taps[i] * taps[i];
    if (energy == 0)
        return error_set(error, "%s: a silent room response; remove it from the folder", path);
    for (int64_t i = 0; i < n; i++)
        taps[i] = (float)(taps[i] / sqrt(energy));
    *n_taps = n;
    return 0;
}
