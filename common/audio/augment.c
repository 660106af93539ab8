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
#include "audio/sources.h"
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

typedef struct FileClass { // files of one kind: points into the folder's sources
    const char **paths;
    int64_t n;
} FileClass;

struct Augmenter {
    AugmentOptions options;
    AudioSources noise_files;
    FileClass noise, music, speech;
    AudioSources rooms; // measured responses: read when drawn, for there may be thousands
    Convolver *convolver;
};

// ---- what there is -------------------------------------------------------------------------------------

static void class_add(FileClass *class, const char *path)
{
    class->paths = mem_grow(class->paths, (size_t) class->n + 1, sizeof(char *));
    class->paths[class->n++] = path;
}

static bool lies_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1)
        if ((size_t)(slash - path) == length && strncasecmp(path, folder, length) == 0)
            return true;
    return false;
}

// MUSAN keeps music/, speech/ and noise/ apart; files elsewhere count as noise.
static int load_noise_folder(Augmenter *augmenter, Error *error)
{
    AudioSources *files = &augmenter->noise_files;
    if (audio_sources_find(augmenter->options.noise_folder, NULL, files, error) < 0)
        return -1;
    for (int64_t i = 0; i < files->n; i++) {
        if (lies_in(files->utts[i], "music"))
            class_add(&augmenter->music, files->paths[i]);
        else if (lies_in(files->utts[i], "speech"))
            class_add(&augmenter->speech, files->paths[i]);
        else
            class_add(&augmenter->noise, files->paths[i]);
    }
    return 0;
}

// The first response is read at once: a folder of something else should not wait for the training to show.
static int load_rooms(Augmenter *augmenter, Error *error)
{
    float *taps = mem_alloc(CONVOLVER_MAX_TAPS, sizeof(float));
    int64_t n_taps;
    int status = audio_sources_find(augmenter->options.rir_folder, NULL, &augmenter->rooms, error);
    if (status == 0)
        status = audio_read_response(augmenter->rooms.paths[0], taps, CONVOLVER_MAX_TAPS, &n_taps, error);
    mem_free(taps);
    return status;
}

Augmenter *augmenter_create(const AugmentOptions *options, uint64_t seed, Error *error)
{
    (void)seed; // rooms and noises are drawn per crop, from the caller's stream
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
    audio_sources_release(&augmenter->rooms);
    mem_free(augmenter->noise.paths);
    mem_free(augmenter->music.paths);
    mem_free(augmenter->speech.paths);
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

static int measured_room(const Augmenter *augmenter, Rng *rng, float *x, int64_t n, Error *error)
{
    const AudioSources *rooms = &augmenter->rooms;
    const char *path = rooms->paths[rng_below(rng, (uint64_t)rooms->n)];
    float *taps = mem_alloc(CONVOLVER_MAX_TAPS, sizeof(float));
    int64_t n_taps;
    int status = audio_read_response(path, taps, CONVOLVER_MAX_TAPS, &n_taps, error);
    if (status == 0)
        convolver_apply(augmenter->convolver, taps, n_taps, x, n);
    mem_free(taps);
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
