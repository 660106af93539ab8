#include "demo/speak.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sndfile.h>
#include <soxr.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"

extern char **environ;

// espeak-ng always opens its sound library, even when it only writes a file. PulseAudio's client then looks
// for a server, makes a folder in HOME, and, where that one is new or cannot be made, draws from rand(),
// which is also espeak-ng's source of breath noise: the first sentence of an account, or every one without a
// writable HOME, would sound different. An empty list of servers ends that at once, before any file or
// socket. A HOME could also bring voices of its own, the display a server's name.
static const char *const FIXED[] = {"HOME=/dev/null", "LC_ALL=C",
                                    "PULSE_SERVER=", "PULSE_CLIENTCONFIG=/dev/null"};
// How the program and its data are found is the caller's business.
static const char *const KEPT[] = {"PATH=", "LD_LIBRARY_PATH=", "ESPEAK_DATA_PATH="};

enum { N_FIXED = sizeof FIXED / sizeof *FIXED, N_KEPT = sizeof KEPT / sizeof *KEPT };

static void make_environment(char *environment[N_FIXED + N_KEPT + 1])
{
    int n = 0;
    for (int i = 0; i < N_FIXED; i++)
        environment[n++] = (char *)FIXED[i];
    for (char **variable = environ; *variable; variable++)
        for (int i = 0; i < N_KEPT && n < N_FIXED + N_KEPT; i++)
            if (strncmp(*variable, KEPT[i], strlen(KEPT[i])) == 0)
                environment[n++] = *variable;
    environment[n] = NULL;
}

// Runs espeak-ng with its standard output in a new anonymous file. Returns the descriptor, or -1.
static int run_espeak(char *const *argv, Error *error)
{
    int output = memfd_create("espeak-ng", MFD_CLOEXEC);
    if (output < 0)
        return error_set_errno(error, "no memory file for espeak-ng's output");

    char *environment[N_FIXED + N_KEPT + 1];
    make_environment(environment);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    pid_t child;
    int failed = posix_spawnp(&child, argv[0], &actions, NULL, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    int status = 0;
    if (failed || waitpid(child, &status, 0) < 0 || status != 0) {
        close(output);
        return error_set(error,
                         failed ? "espeak-ng cannot be started (%s); pipelines/setup.sh installs it"
                                : "espeak-ng failed on voice %s",
                         failed ? strerror(failed) : argv[2]);
    }
    return output;
}

// Reads the mono WAV file in the descriptor, and closes it.
static int read_wav(int descriptor, float **samples, int64_t *n, double *rate_hz, Error *error)
{
    lseek(descriptor, 0, SEEK_SET);
    SF_INFO info = {0};
    SNDFILE *file = sf_open_fd(descriptor, SFM_READ, &info, 1);
    if (!file || info.channels != 1 || info.frames < 1) {
        error_set(error, "espeak-ng gave no audio: %s", sf_strerror(file));
        sf_close(file);
        return -1;
    }
    *samples = mem_alloc((size_t)info.frames, sizeof(float));
    *n = sf_readf_float(file, *samples, info.frames);
    *rate_hz = info.samplerate;
    sf_close(file);
    return 0;
}

// Drops what lies before and after the speech, but for 50 ms at each end. In place; returns the new length.
static int64_t trim(float *samples, int64_t n, double rate_hz)
{
    const float threshold = 0.005f;
    int64_t margin = (int64_t)(0.05 * rate_hz), first = 0, last = n;
    while (first < n && fabsf(samples[first]) < threshold)
        first++;
    while (last > first && fabsf(samples[last - 1]) < threshold)
        last--;
    first = first > margin ? first - margin : 0;
    last = last + margin < n ? last + margin : n;
    memmove(samples, samples + first, (size_t)(last - first) * sizeof(float));
    return last - first;
}

// Resamples from_hz to to_hz.
static int resample(const float *in, int64_t n_in, double from_hz, double to_hz, float **out, int64_t *n_out,
                    Error *error)
{
    size_t capacity = (size_t)((double)n_in * to_hz / from_hz) + 64, done = 0;
    *out = mem_alloc(capacity, sizeof(float));
    soxr_error_t failed =
        soxr_oneshot(from_hz, to_hz, 1, in, (size_t)n_in, NULL, *out, capacity, &done, NULL, NULL, NULL);
    if (failed) {
        mem_free(*out);
        return error_set(error, "resampling failed: %s", failed);
    }
    *n_out = (int64_t)done;
    return 0;
}

// The voice's own colour: a first-order tilt, and aspiration noise that follows the voice's envelope.
static void colour(const Voice *voice, Rng *rng, double rate_hz, float *samples, int64_t n)
{
    double breath = pow(10, voice->breath_db / 20), smooth = exp(-1 / (0.01 * rate_hz));
    double envelope = 0, last_sample = 0, last_noise = 0;
    for (int64_t i = 0; i < n; i++) {
        double sample = samples[i], noise = rng_uniform(rng) - 0.5;
        envelope = smooth * envelope + (1 - smooth) * fabs(sample);
        // Aspiration is a high-frequency noise: one zero near 0 Hz.
        double aspiration = 3.0 * breath * envelope * (noise - 0.9 * last_noise);
        samples[i] = (float)(sample - voice->brightness * last_sample + aspiration);
        last_sample = sample;
        last_noise = noise;
    }
}

int speak(const Voice *voice, const char *text, Rng *rng, double rate_hz, float **samples, int64_t *n,
          Error *error)
{
    // A tract shorter by the factor `tract`: the waveform is played that much faster, so it is spoken slower.
    double words = voice->words_per_minute * rng_range(rng, 0.93, 1.07) / voice->tract;
    double pitch = fmin(99, fmax(0, voice->pitch + rng_range(rng, -4, 4)));
    char name[64], pitch_text[16], words_text[16];
    snprintf(name, sizeof name, "%s+%s", voice->language, voice->variant);
    snprintf(pitch_text, sizeof pitch_text, "%.0f", pitch);
    snprintf(words_text, sizeof words_text, "%.0f", words);
    char *const argv[] = {"espeak-ng", "-v",       name, "-p",         pitch_text, "-s",
                          words_text,  "--stdout", "--", (char *)text, NULL};

    int descriptor = run_espeak(argv, error);
    if (descriptor < 0)
        return -1;
    float *spoken = NULL;
    int64_t n_spoken = 0;
    double spoken_hz = 0;
    if (read_wav(descriptor, &spoken, &n_spoken, &spoken_hz, error) < 0)
        return error_prefix(error, "voice %s", name);
    n_spoken = trim(spoken, n_spoken, spoken_hz);
    int status = resample(spoken, n_spoken, spoken_hz * voice->tract, rate_hz, samples, n, error);
    mem_free(spoken);
    if (status == 0)
        colour(voice, rng, rate_hz, *samples, *n);
    return status;
}
