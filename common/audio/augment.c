// The recipe is FIELD.md's: one of reverberation, music at 5-15 dB, babble at 13-20 dB (3-8 voices), noise at
// 0-15 dB, or babble under music; all equally likely.
#include "audio/augment.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "audio/convolve.h"
#include "audio/decode.h"
#include "audio/room.h"
#include "audio/sound_pool.h"
#include "audio/sources.h"
#include "audio/stretch.h"
#include "base/log.h"
#include "base/memory.h"

enum { MIN_VOICES = 3, MAX_VOICES = 8 };

typedef enum Kind {
    KIND_REVERBERATION,
    KIND_MUSIC,
    KIND_BABBLE,
    KIND_NOISE,
    KIND_BABBLE_MUSIC,
    N_KINDS
} Kind;

struct Augmenter {
    AugmentOptions options;
    AudioSources noise_files, room_files; // whom the pools' paths belong to
    SoundPool noise, music, speech, rooms;
    Convolver *convolver;
};

// ---- what there is -------------------------------------------------------------------------------------

static bool lies_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1)
        if ((size_t)(slash - path) == length && strncasecmp(path, folder, length) == 0)
            return true;
    return false;
}

static bool has_sound(const char *path, double place, float *probe, int64_t n, Error *error)
{
    const double silent = 1e-5; // below what 16 bits can tell from silence
    return audio_read_stretch(path, place, probe, n, error) == 0 && root_mean_square(probe, n) > silent;
}

// A file of silence would add nothing, and the rounding noise of a nearly silent one would be turned up to
// the level of speech. Most files have some sound at once; those with little of it (one bark) are listened
// to.
static int check_noise(const char *path, Error *error)
{
    enum { PROBE = DECODE_RATE_HZ / 10, LONG_PROBE = DECODE_RATE_HZ, N_PROBES = 64 };
    float *probe = mem_alloc(LONG_PROBE, sizeof(float));
    bool sounds = has_sound(path, 0.5, probe, PROBE, error);
    for (int k = 0; k < N_PROBES && !sounds && !(error && error->text[0]); k++)
        sounds = has_sound(path, (double)k / (N_PROBES - 1), probe, LONG_PROBE, error);
    mem_free(probe);
    return sounds ? 0 : error_set(error, "%s: silent", path);
}

// MUSAN keeps music/, speech/ and noise/ apart; files elsewhere count as noise.
static int load_noise_folder(Augmenter *augmenter, Error *error)
{
    AudioSources *files = &augmenter->noise_files;
    if (audio_sources_find(augmenter->options.noise_folder, NULL, files, error) < 0)
        return -1;
    for (int64_t i = 0; i < files->n; i++) {
        if (lies_in(files->utts[i], "music"))
            sound_pool_add(&augmenter->music, files->paths[i]);
        else if (lies_in(files->utts[i], "speech"))
            sound_pool_add(&augmenter->speech, files->paths[i]);
        else
            sound_pool_add(&augmenter->noise, files->paths[i]);
    }
    Error reason = {0};
    sound_pool_check(&augmenter->noise, "noise", check_noise, &reason);
    sound_pool_check(&augmenter->music, "music", check_noise, &reason);
    sound_pool_check(&augmenter->speech, "speech for babble", check_noise, &reason);
    if (augmenter->noise.n + augmenter->music.n + augmenter->speech.n == 0)
        return error_set(error, "%s", reason.text);
    if (reason.text[0])
        log_warn("%s", reason.text);
    return 0;
}

// A quarter of a second tells in most cases that there is a response.
static int check_room(const char *path, Error *error)
{
    const int64_t n_first = CONVOLVER_MAX_TAPS / 4;
    float *taps = mem_alloc(CONVOLVER_MAX_TAPS, sizeof(float));
    int64_t n_taps;
    Error unused = {0};
    int status = audio_read_response(path, taps, n_first, &n_taps, &unused);
    if (status < 0)
        status = audio_read_response(path, taps, CONVOLVER_MAX_TAPS, &n_taps, error);
    mem_free(taps);
    return status;
}

static int load_rooms(Augmenter *augmenter, Error *error)
{
    AudioSources *files = &augmenter->room_files;
    if (audio_sources_find(augmenter->options.rir_folder, NULL, files, error) < 0)
        return -1;
    for (int64_t i = 0; i < files->n; i++)
        sound_pool_add(&augmenter->rooms, files->paths[i]);
    sound_pool_check(&augmenter->rooms, "rooms", check_room, error);
    return augmenter->rooms.n > 0 ? 0 : -1;
}

Augmenter *augmenter_create(const AugmentOptions *options, Error *error)
{
    Augmenter *augmenter = mem_zero(1, sizeof *augmenter);
    augmenter->options = *options;
    augmenter->convolver = convolver_create();
    if ((options->noise_folder && load_noise_folder(augmenter, error) < 0) ||
        (options->rir_folder && load_rooms(augmenter, error) < 0)) {
        augmenter_destroy(augmenter);
        return NULL;
    }
    return augmenter;
}

void augmenter_destroy(Augmenter *augmenter)
{
    if (!augmenter)
        return;
    convolver_destroy(augmenter->convolver);
    sound_pool_release(&augmenter->rooms);
    sound_pool_release(&augmenter->noise);
    sound_pool_release(&augmenter->music);
    sound_pool_release(&augmenter->speech);
    audio_sources_release(&augmenter->room_files);
    audio_sources_release(&augmenter->noise_files);
    mem_free(augmenter);
}

// ---- reverberation -------------------------------------------------------------------------------------

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

typedef struct Room {
    float *taps; // [CONVOLVER_MAX_TAPS]
    int64_t n_taps;
} Room;

static int read_room(const char *path, void *context, Error *error)
{
    Room *room = context;
    return audio_read_response(path, room->taps, CONVOLVER_MAX_TAPS, &room->n_taps, error);
}

static int measured_room(const Augmenter *augmenter, Rng *rng, float *x, int64_t n, Error *error)
{
    int64_t index = (int64_t)rng_below(rng, (uint64_t)augmenter->rooms.n);
    Room room = {.taps = mem_alloc(CONVOLVER_MAX_TAPS, sizeof(float))};
    int status = sound_pool_read(&augmenter->rooms, index, read_room, &room, error);
    if (status == 0)
        convolver_apply(augmenter->convolver, room.taps, room.n_taps, x, n);
    mem_free(room.taps);
    return status;
}

static int reverberate(const Augmenter *augmenter, Rng *rng, float *x, int64_t n, Error *error)
{
    double before = root_mean_square(x, n);
    if (augmenter->rooms.n == 0)
        synthetic_room(rng, x, n);
    else if (measured_room(augmenter, rng, x, n, error) < 0)
        return -1;
    float gain = (float)(before / root_mean_square(x, n));
    for (int64_t i = 0; i < n; i++)
        x[i] *= gain;
    return 0;
}

// ---- additive noise --------------------------------------------------------------------------------------

static void add_at(double snr_db, double signal_level, const float *noise, float *x, int64_t n)
{
    float gain = (float)(signal_level / root_mean_square(noise, n) * pow(10, -snr_db / 20));
    for (int64_t i = 0; i < n; i++)
        x[i] += gain * noise[i];
}

typedef struct Crop {
    float *samples; // [n]
    int64_t n;
    double place;
} Crop;

static int read_crop(const char *path, void *context, Error *error)
{
    const Crop *crop = context;
    return audio_read_stretch(path, crop->place, crop->samples, crop->n, error);
}

static int from_pool(const SoundPool *pool, Rng *rng, float *noise, int64_t n, Error *error)
{
    int64_t index = (int64_t)rng_below(rng, (uint64_t)pool->n);
    Crop crop = {noise, n, rng_uniform(rng)};
    return sound_pool_read(pool, index, read_crop, &crop, error);
}

// Music where there is some, else any noise.
static int make_noise(const Augmenter *augmenter, Rng *rng, bool music, float *noise, int64_t n, Error *error)
{
    if (music && augmenter->music.n > 0)
        return from_pool(&augmenter->music, rng, noise, n, error);
    if (augmenter->noise.n > 0)
        return from_pool(&augmenter->noise, rng, noise, n, error);
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
        status = augmenter->speech.n > 0 ? from_pool(&augmenter->speech, rng, voice, n, error)
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
    if (kind == KIND_REVERBERATION)
        return reverberate(augmenter, rng, samples, n_samples, error);
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
