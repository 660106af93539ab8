// The recipe is FIELD.md's: one of reverberation, music at 5-15 dB, babble at 13-20 dB (3-8 voices), noise at
// 0-15 dB, or babble under music; all equally likely.
#include "audio/augment.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <kissfft/kiss_fftr.h>

#include "audio/decode.h"
#include "audio/room.h"
#include "audio/sources.h"
#include "base/memory.h"

enum { MAX_RESPONSE = DECODE_RATE_HZ, MIN_VOICES = 3, MAX_VOICES = 8 }; // a response of up to one second

typedef enum Kind {
    KIND_REVERBERATION,
    KIND_MUSIC,
    KIND_BABBLE,
    KIND_NOISE,
    KIND_BABBLE_MUSIC,
    N_KINDS
} Kind;

typedef struct FileClass { // files of one kind: points into the folder's sources
    const char **paths;
    int64_t n;
} FileClass;

typedef struct Response { // a measured room, of unit energy
    float *samples;
    int64_t n;
} Response;

struct Augmenter {
    AugmentOptions options;
    AudioSources noise_files;
    FileClass noise, music, speech;
    Response *responses;
    int64_t n_responses;
};

// ---- what there is -------------------------------------------------------------------------------------

static void class_add(FileClass *class, const char *path)
{
    class->paths = mem_grow(class->paths, (size_t) class->n + 1, sizeof(char *));
    class->paths[class->n++] = path;
}

// MUSAN keeps music/, speech/ and noise/ apart; files elsewhere count as noise.
static int load_noise_folder(Augmenter *augmenter, Error *error)
{
    AudioSources *files = &augmenter->noise_files;
    if (audio_sources_find(augmenter->options.noise_folder, files, error) < 0)
        return -1;
    for (int64_t i = 0; i < files->n; i++) {
        if (strcasestr(files->utts[i], "music"))
            class_add(&augmenter->music, files->paths[i]);
        else if (strcasestr(files->utts[i], "speech"))
            class_add(&augmenter->speech, files->paths[i]);
        else
            class_add(&augmenter->noise, files->paths[i]);
    }
    return 0;
}

static int load_response(const char *path, Response *response, Error *error)
{
    const DecodeLimits anything = {.min_seconds = 0, .silence_db = -200};
    int16_t *pcm = NULL;
    int64_t n = 0;
    if (audio_decode(path, &anything, &pcm, &n, error) < 0)
        return error_prefix(error, "%s", path);
    response->n = n < MAX_RESPONSE ? n : MAX_RESPONSE;
    response->samples = mem_alloc((size_t)response->n, sizeof(float));
    double energy = 1e-20;
    for (int64_t i = 0; i < response->n; i++)
        energy += (double)pcm[i] * pcm[i];
    for (int64_t i = 0; i < response->n; i++)
        response->samples[i] = (float)(pcm[i] / sqrt(energy));
    mem_free(pcm);
    return 0;
}

static int load_responses(Augmenter *augmenter, Error *error)
{
    AudioSources files = {0};
    if (audio_sources_find(augmenter->options.rir_folder, &files, error) < 0)
        return -1;
    augmenter->responses = mem_zero((size_t)files.n, sizeof(Response));
    int status = 0;
    for (int64_t i = 0; i < files.n && status == 0; i++)
        if ((status = load_response(files.paths[i], &augmenter->responses[i], error)) == 0)
            augmenter->n_responses++;
    audio_sources_release(&files);
    return status;
}

Augmenter *augmenter_create(const AugmentOptions *options, uint64_t seed, Error *error)
{
    (void)seed; // rooms and noises are drawn per crop, from the caller's stream
    Augmenter *augmenter = mem_zero(1, sizeof *augmenter);
    augmenter->options = *options;
    if ((options->noise_folder && load_noise_folder(augmenter, error) < 0) ||
        (options->rir_folder && load_responses(augmenter, error) < 0)) {
        augmenter_destroy(augmenter);
        return NULL;
    }
    return augmenter;
}

void augmenter_destroy(Augmenter *augmenter)
{
    if (!augmenter)
        return;
    for (int64_t i = 0; i < augmenter->n_responses; i++)
        mem_free(augmenter->responses[i].samples);
    mem_free(augmenter->responses);
    mem_free(augmenter->noise.paths);
    mem_free(augmenter->music.paths);
    mem_free(augmenter->speech.paths);
    audio_sources_release(&augmenter->noise_files);
    mem_free(augmenter);
}

// ---- reverberation -------------------------------------------------------------------------------------

// x [n] <- the first n samples of x * response, by one long FFT.
static void convolve(const Response *response, float *x, int64_t n)
{
    int size = kiss_fftr_next_fast_size_real((int)(n + response->n));
    int n_bins = size / 2 + 1;
    kiss_fftr_cfg forward = kiss_fftr_alloc(size, 0, NULL, NULL), back = kiss_fftr_alloc(size, 1, NULL, NULL);
    float *padded = mem_zero((size_t)size, sizeof(float));
    kiss_fft_cpx *a = mem_alloc((size_t)n_bins, sizeof *a), *b = mem_alloc((size_t)n_bins, sizeof *b);
    memcpy(padded, x, (size_t)n * sizeof(float));
    kiss_fftr(forward, padded, a);
    memset(padded, 0, (size_t)size * sizeof(float));
    memcpy(padded, response->samples, (size_t)response->n * sizeof(float));
    kiss_fftr(forward, padded, b);
    for (int i = 0; i < n_bins; i++) {
        kiss_fft_cpx product = {a[i].r * b[i].r - a[i].i * b[i].i, a[i].r * b[i].i + a[i].i * b[i].r};
        a[i] = product;
    }
    kiss_fftri(back, a, padded);
    for (int64_t i = 0; i < n; i++)
        x[i] = padded[i] / (float)size;
    mem_free(b);
    mem_free(a);
    mem_free(padded);
    kiss_fftr_free(back);
    kiss_fftr_free(forward);
}

// A room, and the microphone in it: recordings of one speaker differ in both.
static void synthetic_room(Rng *rng, float *x, int64_t n)
{
    double t60 = rng_range(rng, 0.1, 0.6), direct_db = rng_range(rng, 0, 15);
    int64_t tail = (int64_t)(t60 * DECODE_RATE_HZ);
    float *wet = mem_zero((size_t)(n + tail), sizeof(float));
    room_reverberate(rng, t60, direct_db, DECODE_RATE_HZ, x, n, wet, tail);
    memcpy(x, wet, (size_t)n * sizeof(float));
    mem_free(wet);
    room_microphone(rng, 10, DECODE_RATE_HZ, x, n);
}

static void reverberate(const Augmenter *augmenter, Rng *rng, float *x, int64_t n)
{
    double before = root_mean_square(x, n);
    if (augmenter->n_responses > 0)
        convolve(&augmenter->responses[rng_below(rng, (uint64_t)augmenter->n_responses)], x, n);
    else
        synthetic_room(rng, x, n);
    float gain = (float)(before / root_mean_square(x, n));
    for (int64_t i = 0; i < n; i++)
        x[i] *= gain;
}

// ---- additive noise --------------------------------------------------------------------------------------

static void add_at(double snr_db, double signal_level, const float *noise, float *x, int64_t n)
{
    float gain = (float)(signal_level / root_mean_square(noise, n) * pow(10, -snr_db / 20));
    for (int64_t i = 0; i < n; i++)
        x[i] += gain * noise[i];
}

static int from_class(const FileClass *class, Rng *rng, float *noise, int64_t n, Error *error)
{
    return audio_read_stretch(class->paths[rng_below(rng, (uint64_t) class->n)], rng, noise, n, error);
}

// Music where there is some, else any noise.
static int make_noise(const Augmenter *augmenter, Rng *rng, bool music, float *noise, int64_t n, Error *error)
{
    if (music && augmenter->music.n > 0)
        return from_class(&augmenter->music, rng, noise, n, error);
    if (augmenter->noise.n > 0)
        return from_class(&augmenter->noise, rng, noise, n, error);
    room_noise(rng, DECODE_RATE_HZ, noise, n);
    return 0;
}

// The sum of some voices, all equally loud; from given speech, else from the corpus, else plain noise.
static int make_babble(const Augmenter *augmenter, Rng *rng, float *babble, int64_t n, Error *error)
{
    const AugmentOptions *options = &augmenter->options;
    if (augmenter->speech.n == 0 && !options->babble)
        return make_noise(augmenter, rng, false, babble, n, error);
    int64_t n_voices = MIN_VOICES + (int64_t)rng_below(rng, MAX_VOICES - MIN_VOICES + 1);
    float *voice = mem_alloc((size_t)n, sizeof(float));
    memset(babble, 0, (size_t)n * sizeof(float));
    int status = 0;
    for (int64_t v = 0; v < n_voices && status == 0; v++) {
        status = augmenter->speech.n > 0 ? from_class(&augmenter->speech, rng, voice, n, error)
                                         : options->babble(options->babble_context, rng, voice, n, error);
        if (status == 0)
            add_at(0, 1, voice, babble, n);
    }
    mem_free(voice);
    return status;
}

int augmenter_apply(const Augmenter *augmenter, Rng *rng, float *samples, int64_t n_samples, Error *error)
{
    if (rng_uniform(rng) >= augmenter->options.probability || n_samples < 1)
        return 0;
    Kind kind = (Kind)rng_below(rng, N_KINDS);
    if (kind == KIND_REVERBERATION) {
        reverberate(augmenter, rng, samples, n_samples);
        return 0;
    }
    double level = root_mean_square(samples, n_samples); // of the speech alone, for both noises
    float *noise = mem_alloc((size_t)n_samples, sizeof(float));
    int status = 0;
    if (kind == KIND_BABBLE || kind == KIND_BABBLE_MUSIC)
        if ((status = make_babble(augmenter, rng, noise, n_samples, error)) == 0)
            add_at(rng_range(rng, 13, 20), level, noise, samples, n_samples);
    if (status == 0 && kind != KIND_BABBLE) {
        bool music = kind != KIND_NOISE;
        if ((status = make_noise(augmenter, rng, music, noise, n_samples, error)) == 0)
            add_at(rng_range(rng, music ? 5 : 0, 15), level, noise, samples, n_samples);
    }
    mem_free(noise);
    return status;
}
