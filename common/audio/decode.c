#include "audio/decode.h"

#include <math.h>
#include <soxr.h>
#include <string.h>

#include "audio/channels.h"
#include "audio/recording.h"
#include "audio/sound.h"
#include "base/memory.h"

enum { BLOCK_FRAMES = 16384, LEVEL_FRAME = DECODE_RATE_HZ / 50, CLICK_FRAMES = 3 };

// ---- what has come out so far --------------------------------------------------------------------------

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

// ---- one stream ----------------------------------------------------------------------------------------

// What is wanted of a stream, in its own time.
typedef struct Stretch {
    double start, end; // seconds; end < 0: the stream's
    const DecodeCut *cut;
    bool last; // no other stream follows: a start behind this one is an error
} Stretch;

// The same in frames.
typedef struct Part {
    int64_t first, n; // n < 0: to the end
} Part;

// How much to read next.
static int64_t block_of(int64_t n_wanted, int64_t n_read)
{
    return n_wanted < 0 || n_wanted - n_read > BLOCK_FRAMES ? BLOCK_FRAMES : n_wanted - n_read;
}

static int read_frames(Sink *sink, Sound *sound, ChannelsSeen *seen, soxr_t resampler, int64_t n_wanted,
                       int64_t *n_read, Error *error)
{
    float *frames = mem_alloc((size_t)BLOCK_FRAMES * (size_t)sound->channels, sizeof(float));
    float *mono = mem_alloc(BLOCK_FRAMES, sizeof(float)), *out = mem_alloc(BLOCK_FRAMES, sizeof(float));
    int status = 0;
    *n_read = 0;
    for (int64_t n; status == 0 && (n = sound_read(sound, frames, block_of(n_wanted, *n_read))) > 0;
         *n_read += n)
        if (!channels_mix(seen, frames, n, mono))
            status = error_set(error, "not finite: a sample after %.1f s is infinite or not a number",
                               (double)*n_read / sound->rate_hz);
        else
            status = push(resampler, mono, (size_t)n, out, BLOCK_FRAMES, sink, error);
    if (status == 0 && resampler)
        status = push(resampler, NULL, 0, out, BLOCK_FRAMES, sink, error);
    mem_free(out);
    mem_free(mono);
    mem_free(frames);
    return status;
}

// All that was promised is there: what a decoder complains of lies behind it (a tag that does not belong
// there). Otherwise there is half a second of slack: packed formats round their length to packets.
static int check_length(const Sound *sound, const Part *part, int64_t n_read, Error *error)
{
    int64_t n_found = part->first + n_read;
    double found = (double)n_found / sound->rate_hz, promised = (double)sound->n_frames / sound->rate_hz;
    if (sound_damage(sound) && n_found != sound->n_frames)
        return error_set(error, "corrupt after %.1f s: %s", found, sound_damage(sound));
    if (part->n >= 0 || promised <= found + 0.5)
        return 0;
    return error_set(error, "cut off: holds %.1f s of the %.1f s that its header promises", found, promised);
}

static int read_part(Sink *sink, Sound *sound, ChannelsSeen *seen, const Part *part, int64_t *n_read,
                     Error *error)
{
    if (part->first > 0 && !sound_seek(sound, part->first))
        return error_set(error, "its segment begins at %.2f s, behind the end of the recording",
                         (double)part->first / sound->rate_hz);
    soxr_t resampler = NULL;
    if (sound->rate_hz != DECODE_RATE_HZ) {
        soxr_error_t failed = NULL;
        resampler = soxr_create(sound->rate_hz, DECODE_RATE_HZ, 1, &failed, NULL, NULL, NULL);
        if (!resampler)
            return error_set(error, "cannot be resampled from %d Hz: %s", sound->rate_hz, failed);
    }
    int status = read_frames(sink, sound, seen, resampler, part->n, n_read, error);
    soxr_delete(resampler);
    return status == 0 ? check_length(sound, part, *n_read, error) : -1;
}

// Reads the stretch once, with one plan for the channels. *end: where it ended, seconds.
static int read_once(const AudioStream *stream, const Stretch *stretch, const ChannelPlan *plan, Sink *sink,
                     ChannelsSeen *seen, double *end, Error *error)
{
    Sound sound;
    if (sound_open(stream, &sound, error) < 0)
        return -1;
    Part part = {.first = llround(stretch->start * sound.rate_hz), .n = -1};
    if (stretch->end >= 0)
        part.n = llround(stretch->end * sound.rate_hz) - part.first;
    ChannelPlan own = *plan;
    if (sound.channels == 1)
        own.take = CHANNELS_MEAN;
    channels_init(seen, sound.channels, &own);
    int64_t n_read = 0, n_frames = part.first > 0 && !stretch->last ? sound_count(&sound) : -1;
    int status = 0;
    if (plan->take >= sound.channels && !(stretch->cut->side_of_call && sound.channels == 1))
        status = error_set(error, "has %d channels: no channel %d (they count from 0)", sound.channels,
                           plan->take);
    else if (n_frames >= 0 && n_frames <= part.first)
        part.first = n_frames; // the stretch lies in the streams that follow
    else
        status = read_part(sink, &sound, seen, &part, &n_read, error);
    *end = (double)(part.first + n_read) / sound.rate_hz;
    sound_close(&sound);
    return status;
}

static int read_stream(const AudioStream *stream, const Stretch *stretch, Sink *sink, double *end,
                       DecodeNotes *notes, Error *error)
{
    ChannelPlan plan = {.take = stretch->cut->channel, .limit = INFINITY};
    int64_t n_before = sink->n;
    ChannelsSeen seen = {0};
    int status;
    do {
        channels_release(&seen);
        sink->n = n_before;
        status = read_once(stream, stretch, &plan, sink, &seen, end, error);
    } while (status == 0 && channels_revise(&seen, &plan));
    float gain = status == 0 ? channels_gain(&seen) : 1;
    for (int64_t i = n_before; i < sink->n && gain != 1; i++)
        sink->samples[i] *= gain;
    notes->one_channel |= plan.take != stretch->cut->channel;
    notes->n_held += seen.n_held;
    channels_release(&seen);
    return status;
}

// All streams, one behind the other.
static int read_streams(const Recording *recording, const DecodeCut *cut, Sink *sink, DecodeNotes *notes,
                        Error *error)
{
    double begin = 0;
    for (int s = 0; s < recording->n && (cut->end < 0 || begin < cut->end); s++) {
        Stretch stretch = {.start = fmax(cut->start - begin, 0),
                           .end = cut->end < 0 ? -1 : cut->end - begin,
                           .cut = cut,
                           .last = s == recording->n - 1};
        double end = 0;
        if (read_stream(&recording->streams[s], &stretch, sink, &end, notes, error) < 0)
            return -1;
        begin += end;
    }
    double behind = cut->end - begin;
    return behind < 0.5 ? 0 : error_set(error, "its segment ends %.2f s behind the recording", behind);
}

// ---- what is returned ----------------------------------------------------------------------------------

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

// Energy around the mean (a constant is silence, too) of frames of 20 ms; the loudest few, a click and what
// the filters make of it, are left out where there are more.
static double level_db(const int16_t *pcm, int64_t n)
{
    double sum = 0, energy = 0, loudest[CLICK_FRAMES] = {0};
    for (int64_t i = 0; i < n; i++)
        sum += pcm[i];
    double mean = sum / (double)n;
    for (int64_t start = 0; start < n; start += LEVEL_FRAME) {
        double own = 0;
        for (int64_t i = start; i < n && i < start + LEVEL_FRAME; i++)
            own += (pcm[i] - mean) * (pcm[i] - mean);
        energy += own;
        for (int k = 0; k < CLICK_FRAMES; k++)
            if (own > loudest[k]) {
                double next = loudest[k];
                loudest[k] = own;
                own = next;
            }
    }
    for (int k = 0; k < CLICK_FRAMES && n > 10 * CLICK_FRAMES * LEVEL_FRAME; k++)
        energy -= loudest[k];
    return 10 * log10(fmax(energy / (double)n / 32768 / 32768, 1e-15));
}

static bool is_zero(const int16_t *pcm, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (pcm[i] != 0)
            return false;
    return true;
}

static int check_content(const int16_t *pcm, int64_t n, const DecodeLimits *limits, Error *error)
{
    double seconds = (double)n / DECODE_RATE_HZ;
    if (seconds < limits->min_seconds)
        return error_set(error, "too short: %.2f s, less than %g s", seconds, limits->min_seconds);
    if (is_zero(pcm, n))
        return error_set(error, "silent: every sample is zero");
    double level = level_db(pcm, n);
    if (level < limits->silence_db)
        return error_set(error, "silent: %.0f dB below full scale", -level);
    return 0;
}

struct AudioDecoder {
    char *path; // NULL: nothing is open
    Recording recording;
};

AudioDecoder *audio_decoder_create(void)
{
    return mem_zero(1, sizeof(AudioDecoder));
}

static void close_recording(AudioDecoder *decoder)
{
    if (decoder->path)
        recording_close(&decoder->recording);
    mem_free(decoder->path);
    decoder->path = NULL;
}

void audio_decoder_destroy(AudioDecoder *decoder)
{
    if (!decoder)
        return;
    close_recording(decoder);
    mem_free(decoder);
}

static int open_path(AudioDecoder *decoder, const char *path, Error *error)
{
    if (decoder->path && strcmp(decoder->path, path) == 0)
        return 0;
    close_recording(decoder);
    if (recording_open(path, true, &decoder->recording, error) < 0)
        return -1;
    decoder->path = mem_strdup(path);
    return 0;
}

int audio_decoder_cut(AudioDecoder *decoder, const char *path, const DecodeCut *cut,
                      const DecodeLimits *limits, int16_t **samples, int64_t *n, DecodeNotes *notes,
                      Error *error)
{
    if (open_path(decoder, path, error) < 0)
        return -1;
    Sink sink = {.most = (int64_t)(limits->max_seconds * DECODE_RATE_HZ)};
    DecodeNotes own = {.n_streams = decoder->recording.n};
    int status = read_streams(&decoder->recording, cut, &sink, &own, error);
    if (recording_check_reading(&decoder->recording, error) < 0)
        status = -1;
    if (status == 0 && sink.n == 0)
        status = error_set(error, "empty: no samples");
    int16_t *pcm = status == 0 ? to_pcm(&sink) : NULL;
    if (pcm && (status = check_content(pcm, sink.n, limits, error)) == 0) {
        *samples = pcm;
        *n = sink.n;
        if (notes)
            *notes = own;
    } else {
        mem_free(pcm);
    }
    mem_free(sink.samples);
    return status;
}

int audio_decode_cut(const char *path, const DecodeCut *cut, const DecodeLimits *limits, int16_t **samples,
                     int64_t *n, DecodeNotes *notes, Error *error)
{
    AudioDecoder *decoder = audio_decoder_create();
    int status = audio_decoder_cut(decoder, path, cut, limits, samples, n, notes, error);
    audio_decoder_destroy(decoder);
    return status;
}

int audio_decode(const char *path, const DecodeLimits *limits, int16_t **samples, int64_t *n, Error *error)
{
    const DecodeCut all = {.end = -1, .channel = DECODE_ALL_CHANNELS};
    return audio_decode_cut(path, &all, limits, samples, n, NULL, error);
}
