// Augmentation: nothing at probability 0, the same for the same stream, levels and noise ratios as promised,
// given folders are used, and what cannot be read is named.
#include <math.h>
#include <setjmp.h>
#include <sndfile.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "audio/augment.h"
#include "audio/convolve.h"
#include "audio/room.h"
#include "base/files.h"
#include "base/memory.h"
#include "gradcheck.h"

enum { N = 16000 };

static uint64_t seed;

static void fill_tone(float *x, double hz)
{
    for (int i = 0; i < N; i++)
        x[i] = 0.3f * (float)sin(2 * M_PI * hz * i / 16000);
}

static int constant_voice(void *context, Rng *rng, float *samples, int64_t n, Error *error)
{
    (void)rng, (void)error;
    ++*(int *)context;
    for (int64_t i = 0; i < n; i++)
        samples[i] = 1;
    return 0;
}

static Augmenter *create(AugmentOptions options)
{
    Error error = {0};
    Augmenter *augmenter = augmenter_create(&options, &error);
    if (!augmenter)
        fail_msg("%s", error.text);
    return augmenter;
}

static void apply(const Augmenter *augmenter, uint64_t draw, float *x)
{
    Error error = {0};
    Rng rng = rng_stream(7, "test augment", draw, 0);
    if (augmenter_apply(augmenter, &rng, x, N, &error) < 0)
        fail_msg("%s", error.text);
}

static void test_probability_zero_changes_nothing(void **state)
{
    (void)state;
    float x[N], before[N];
    fill_tone(x, 440);
    memcpy(before, x, sizeof x);
    Augmenter *augmenter = create((AugmentOptions){.probability = 0});
    for (uint64_t draw = 0; draw < 50; draw++)
        apply(augmenter, draw, x);
    assert_memory_equal(x, before, sizeof x);
    augmenter_destroy(augmenter);
}

// Speech-to-noise ratios lie between 0 and 20 dB, and reverberation keeps the level.
static void test_same_stream_same_result_and_sane_levels(void **state)
{
    (void)state;
    int n_voices = 0;
    Augmenter *augmenter =
        create((AugmentOptions){.probability = 1, .babble = constant_voice, .babble_context = &n_voices});
    float clean[N], x[N], again[N];
    fill_tone(clean, 440);
    for (uint64_t draw = 0; draw < 60; draw++) {
        memcpy(x, clean, sizeof x);
        memcpy(again, clean, sizeof x);
        apply(augmenter, draw, x);
        apply(augmenter, draw, again);
        assert_memory_equal(x, again, sizeof x);
        assert_memory_not_equal(x, clean, sizeof x);
        double ratio_db = 20 * log10(root_mean_square(x, N) / root_mean_square(clean, N));
        assert_true(ratio_db > -0.1 && ratio_db < 3.3); // 0 dB of noise and babble on top: 3.1 dB louder
    }
    assert_true(n_voices > 0);
    augmenter_destroy(augmenter);
}

// ---- convolution ---------------------------------------------------------------------------------------

static void fill(Rng *rng, float *samples, int64_t n)
{
    for (int64_t t = 0; t < n; t++)
        samples[t] = (float)(0.1 * rng_normal(rng));
}

static void check_convolution(const Convolver *convolver, Rng *rng, int64_t n_taps, int64_t n)
{
    float *taps = mem_alloc((size_t)n_taps, sizeof *taps), *samples = mem_alloc((size_t)n, sizeof *samples),
          *expected = mem_alloc((size_t)n, sizeof *expected);
    fill(rng, taps, n_taps);
    fill(rng, samples, n);
    for (int64_t t = 0; t < n; t++) {
        double sum = 0;
        for (int64_t k = 0; k < n_taps && k <= t; k++)
            sum += (double)taps[k] * samples[t - k];
        expected[t] = (float)sum;
    }
    convolver_apply(convolver, taps, n_taps, samples, n);
    double scale = root_mean_square(expected, n), worst = 0;
    for (int64_t t = 0; t < n; t++)
        worst = fmax(worst, fabs(samples[t] - expected[t]));
    // A float32 transform of 2^15 points errs by about log2(2^15) roundings of 6e-8.
    if (worst > 1e-5 * scale)
        fail_msg("%lld taps, %lld samples: off by %g of %g", (long long)n_taps, (long long)n, worst, scale);
    mem_free(expected);
    mem_free(samples);
    mem_free(taps);
}

static void test_convolution(void **state)
{
    (void)state;
    Convolver *convolver = convolver_create();
    Rng rng = rng_stream(seed, "convolution", 0, 0);
    const int64_t sizes[][2] = {{1, 1},
                                {1, 40000},
                                {300, 200},
                                {2000, 32768},
                                {CONVOLVER_MAX_TAPS, 16769},
                                {CONVOLVER_MAX_TAPS, 40000}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_convolution(convolver, &rng, sizes[i][0], sizes[i][1]);
    convolver_destroy(convolver);
}

// ---- folders -------------------------------------------------------------------------------------------

static char *make_folder(void)
{
    char *folder = mem_printf("/tmp/voxloop-augment-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return folder;
}

static char *write_samples(const char *folder, const char *name, const float *x, int n, int rate_hz)
{
    char *path = path_join(folder, name);
    SF_INFO info = {.samplerate = rate_hz, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    assert_non_null(file);
    sf_writef_float(file, x, n);
    sf_close(file);
    return path;
}

static void clear(char *path)
{
    assert_int_equal(remove(path), 0);
    mem_free(path);
}

// Convolving with a response of one delayed pulse is a delay.
static void test_measured_response(void **state)
{
    (void)state;
    float pulse[400] = {0}, clean[N], x[N];
    pulse[123] = 0.5f;
    char *folder = make_folder(), *file = write_samples(folder, "room.wav", pulse, 400, 16000);
    Augmenter *augmenter = create((AugmentOptions){.probability = 1, .rir_folder = folder});
    fill_tone(clean, 440);
    int n_delays = 0;
    for (uint64_t draw = 0; draw < 40; draw++) {
        memcpy(x, clean, sizeof x);
        apply(augmenter, draw, x);
        double worst = 0, gain = root_mean_square(clean, N) / root_mean_square(clean, N - 123);
        for (int i = 123; i < N; i++)
            worst = fmax(worst, fabs(x[i] - gain * clean[i - 123]));
        n_delays += worst < 5e-3; // the level is set over a stretch that lacks the delay
    }
    assert_true(n_delays >= 2 && n_delays <= 20); // one kind of five
    augmenter_destroy(augmenter);
    clear(file);
    clear(folder);
}

// The only noise file is a tone at 2 kHz and half the rate: what is added must be that tone.
static void test_given_noise_is_used(void **state)
{
    (void)state;
    float tone[4000], clean[N], x[N];
    for (int i = 0; i < 4000; i++)
        tone[i] = (float)sin(2 * M_PI * 2000 * i / 8000.0 + 0.1);
    char *folder = make_folder(), *file = write_samples(folder, "noise.wav", tone, 4000, 8000);
    Augmenter *augmenter = create((AugmentOptions){.probability = 1, .noise_folder = folder});
    int n_tones = 0;
    for (uint64_t draw = 0; draw < 20; draw++) {
        fill_tone(clean, 440);
        memcpy(x, clean, sizeof x);
        apply(augmenter, draw, x);
        double re = 0, im = 0, energy = 0;
        for (int i = 1000; i < N - 1000; i++) {
            double added = x[i] - clean[i];
            re += added * cos(2 * M_PI * 2000 * i / 16000.0);
            im += added * sin(2 * M_PI * 2000 * i / 16000.0);
            energy += added * added;
        }
        // The share of the tone in what was added; repeating half a second may turn the tone's phase.
        n_tones += energy > 0 && 2 * (re * re + im * im) / (N - 2000) > 0.5 * energy;
    }
    assert_true(n_tones >= 8);
    augmenter_destroy(augmenter);
    clear(file);
    clear(folder);
}

// |sum of x[t] exp(-i w t)|^2 over the power: how much of a sound is this tone (1 for the tone itself).
static double tone_share(const float *samples, int64_t n, double tone_hz)
{
    double re = 0, im = 0;
    for (int64_t t = 0; t < n; t++) {
        re += samples[t] * cos(2 * M_PI * tone_hz * (double)t / 16000);
        im += samples[t] * sin(2 * M_PI * tone_hz * (double)t / 16000);
    }
    return 2 * (re * re + im * im) / ((double)n * (double)n * pow(root_mean_square(samples, n), 2));
}

static char *make_below(const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    assert_int_equal(mkdir(path, 0777), 0);
    return path;
}

// The three classes are tones of their own, so what was added shows its class and its level.
static void test_classes_and_their_ratios(void **state)
{
    (void)state;
    const struct {
        const char *folder;
        double tone_hz, low_db, high_db;
    } classes[] = {{"noise", 1000, 0, 15}, {"Music", 2000, 5, 15}, {"speech", 3000, 13, 20}};
    char *root = make_folder(), *folders[3], *files[3];
    for (int c = 0; c < 3; c++) {
        float tone[8000];
        for (int i = 0; i < 8000; i++)
            tone[i] = (float)sin(2 * M_PI * classes[c].tone_hz * i / 16000);
        folders[c] = make_below(root, classes[c].folder);
        files[c] = write_samples(folders[c], "music-and-speech.wav", tone, 8000, 16000); // the folder counts
    }
    Augmenter *augmenter = create((AugmentOptions){.probability = 1, .noise_folder = root});
    float clean[N], x[N];
    Rng rng = rng_stream(seed, "ratios", 0, 0);
    fill(&rng, clean, N);
    int seen[3] = {0};
    for (uint64_t draw = 0; draw < 100; draw++) {
        memcpy(x, clean, sizeof x);
        apply(augmenter, draw, x);
        for (int t = 0; t < N; t++)
            x[t] -= clean[t];
        double snr_db = 20 * log10(root_mean_square(clean, N) / root_mean_square(x, N));
        for (int c = 0; c < 3; c++)
            if (tone_share(x, N, classes[c].tone_hz) > 0.99) { // neither reverberation nor two sounds
                assert_true(snr_db > classes[c].low_db - 0.01 && snr_db < classes[c].high_db + 0.01);
                seen[c]++;
            }
    }
    for (int c = 0; c < 3; c++)
        assert_in_range(seen[c], 8, 40); // of 20 expected
    augmenter_destroy(augmenter);
    for (int c = 0; c < 3; c++) {
        clear(files[c]);
        clear(folders[c]);
    }
    clear(root);
}

// ---- files that cannot be used -------------------------------------------------------------------------

static char *write_text(const char *folder, const char *name, const char *text)
{
    char *path = path_join(folder, name);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    return path;
}

static void assert_not_created(AugmentOptions options, const char *reason)
{
    Error error = {0};
    assert_null(augmenter_create(&options, &error));
    if (!strstr(error.text, reason))
        fail_msg("\"%s\" does not say \"%s\"", error.text, reason);
}

static void test_useless_folders_are_refused(void **state)
{
    (void)state;
    assert_not_created((AugmentOptions){.noise_folder = "/dev/null/noise"}, "/dev/null/noise");
    char *folder = make_folder();
    assert_not_created((AugmentOptions){.noise_folder = folder}, "is empty");
    assert_not_created((AugmentOptions){.rir_folder = folder}, "is empty");
    float silence[400] = {0};
    char *files[2] = {write_text(folder, "broken.wav", "no audio"),
                      write_samples(folder, "silent.wav", silence, 400, 16000)};
    assert_not_created((AugmentOptions){.noise_folder = folder},
                       "noise: none of the 2 files can be used; the first, ");
    assert_not_created((AugmentOptions){.rir_folder = folder},
                       "rooms: none of the 2 files can be used; the first, ");
    clear(files[0]);
    assert_not_created((AugmentOptions){.noise_folder = folder}, "silent.wav: silent");
    assert_not_created((AugmentOptions){.rir_folder = folder}, "silent.wav: a silent room response");
    clear(files[1]);
    clear(folder);
}

// One short sound somewhere in a file of silence is a noise; a late response is a room.
static void test_sparse_files_are_used(void **state)
{
    (void)state;
    enum { SECONDS = 20 };
    float *sparse = mem_zero(SECONDS * N, sizeof(float));
    for (int place = 0; place < SECONDS * N; place += 33331) {
        char *folder = make_folder();
        memset(sparse, 0, SECONDS * N * sizeof(float));
        for (int t = 0; t < 100 && place + t < SECONDS * N; t++)
            sparse[place + t] = 0.1f * (float)sin(0.3 * t);
        char *file = write_samples(folder, "bark.wav", sparse, SECONDS * N, 16000);
        augmenter_destroy(create((AugmentOptions){.probability = 1, .noise_folder = folder}));
        if (place < N)
            augmenter_destroy(create((AugmentOptions){.probability = 1, .rir_folder = folder}));
        clear(file);
        clear(folder);
    }
    mem_free(sparse);
}

// Ten tones; what is drawn in each of 60 crops as the number of the tone, -1 for something else.
enum { N_TONES = 10, N_DRAWS = 60 };

static void draw_tones(const Augmenter *augmenter, int tones[N_DRAWS], float (*crops)[N])
{
    float clean[N];
    Rng rng = rng_stream(seed, "draw tones", 0, 0);
    fill(&rng, clean, N);
    for (int d = 0; d < N_DRAWS; d++) {
        float *x = crops[d];
        memcpy(x, clean, sizeof clean);
        apply(augmenter, (uint64_t)d, x);
        tones[d] = -1;
        for (int k = 0; k < N_TONES; k++) {
            float added[N];
            for (int t = 0; t < N; t++)
                added[t] = x[t] - clean[t];
            if (tone_share(added, N, 500 + 500 * k) > 0.99)
                tones[d] = k;
        }
    }
}

static char *tone_name(int k)
{
    return mem_printf("tone%d.wav", k);
}

static char *write_tone(const char *folder, int k)
{
    float tone[8000];
    for (int i = 0; i < 8000; i++)
        tone[i] = (float)sin(2 * M_PI * (500 + 500 * k) * i / 16000);
    char *name = tone_name(k), *path = write_samples(folder, name, tone, 8000, 16000);
    mem_free(name);
    return path;
}

// Crops that do not draw the broken files are the same bytes; those that do get the next good one. Whether a
// file is broken from the start or from some moment on makes no difference.
static void test_broken_files_change_nothing_else(void **state)
{
    (void)state;
    const int broken[] = {3, 4, N_TONES - 1};
    char *folder = make_folder(), *files[N_TONES];
    for (int k = 0; k < N_TONES; k++)
        files[k] = write_tone(folder, k);
    float(*crops)[N] = mem_alloc(3 * N_DRAWS, sizeof *crops), (*early)[N] = crops + N_DRAWS,
    (*late)[N] = early + N_DRAWS;
    int tones[N_DRAWS], with_early[N_DRAWS], with_late[N_DRAWS], n_drawn = 0;
    Augmenter *all = create((AugmentOptions){.probability = 1, .noise_folder = folder});
    draw_tones(all, tones, crops);
    for (int b = 0; b < 3; b++)
        assert_int_equal(truncate(files[broken[b]], 20), 0);
    draw_tones(all, with_late, late); // broken while it runs
    augmenter_destroy(all);
    Augmenter *rest = create((AugmentOptions){.probability = 1, .noise_folder = folder});
    draw_tones(rest, with_early, early);
    augmenter_destroy(rest);
    assert_memory_equal(early, late, N_DRAWS * sizeof *crops);
    for (int d = 0; d < N_DRAWS; d++) {
        if (tones[d] < 0)
            continue; // something else, or a sum of two
        int wanted = tones[d] == 3 || tones[d] == 4 ? 5 : tones[d] == N_TONES - 1 ? 0 : tones[d];
        n_drawn += wanted != tones[d];
        assert_int_equal(with_early[d], wanted);
        if (wanted == tones[d])
            assert_memory_equal(early[d], crops[d], sizeof *crops);
    }
    assert_true(n_drawn > 0);
    mem_free(crops);
    for (int k = 0; k < N_TONES; k++)
        clear(files[k]);
    clear(folder);
}

static void test_all_files_break_while_it_runs(void **state)
{
    (void)state;
    char *folder = make_folder(), *file = write_tone(folder, 1);
    Augmenter *augmenter = create((AugmentOptions){.probability = 1, .noise_folder = folder});
    assert_int_equal(truncate(file, 20), 0);
    float x[N];
    Error error = {0};
    int status = 0;
    for (uint64_t draw = 0; draw < 20 && status == 0; draw++) {
        Rng rng = rng_stream(7, "test augment", draw, 0);
        fill_tone(x, 440);
        status = augmenter_apply(augmenter, &rng, x, N, &error);
    }
    assert_int_equal(status, -1);
    assert_non_null(strstr(error.text, "tone1.wav: neither this file nor any other of its kind"));
    augmenter_destroy(augmenter);
    clear(file);
    clear(folder);
}

int main(void)
{
    seed = test_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probability_zero_changes_nothing),
        cmocka_unit_test(test_same_stream_same_result_and_sane_levels),
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_measured_response),
        cmocka_unit_test(test_given_noise_is_used),
        cmocka_unit_test(test_classes_and_their_ratios),
        cmocka_unit_test(test_useless_folders_are_refused),
        cmocka_unit_test(test_sparse_files_are_used),
        cmocka_unit_test(test_broken_files_change_nothing_else),
        cmocka_unit_test(test_all_files_break_while_it_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
