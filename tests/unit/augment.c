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
#include "audio/degrade.h"
#include "audio/room.h"
#include "audio/spec_augment.h"
#include "audio/speed.h"
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
    Augmenter *augmenter = augmenter_create(&options, 1, &error);
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

// ---- convolution
// --------------------------------------------------------------------------------------------

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

// ---- folders
// -------------------------------------------------------------------------------------------------

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

static void test_bad_folders_are_named(void **state)
{
    (void)state;
    Error error = {0};
    assert_null(augmenter_create(&(AugmentOptions){.noise_folder = "/no/such/noise"}, 1, &error));
    assert_non_null(strstr(error.text, "/no/such/noise"));
    char *folder = make_folder(), *file = path_join(folder, "broken.wav");
    FILE *out = fopen(file, "w");
    fputs("no audio", out);
    fclose(out);
    error_clear(&error);
    assert_null(augmenter_create(&(AugmentOptions){.rir_folder = folder}, 1, &error));
    assert_non_null(strstr(error.text, "broken.wav"));
    clear(file);
    clear(folder);
}

// Zeros form one stretch of frames and one band of bins, within the sizes; everything else is left alone.
static void test_spec_augment(void **state)
{
    (void)state;
    enum { FRAMES = 50, BINS = 20 };
    float x[FRAMES * BINS];
    int longest = 0, widest = 0;
    for (uint64_t i = 0; i < 500; i++) {
        Rng rng = rng_stream(seed, "spec augment", i, 0);
        for (int k = 0; k < FRAMES * BINS; k++)
            x[k] = 1;
        spec_augment(&rng, x, FRAMES, BINS);
        int frames = 0, bins = 0, zeros = 0, first = -1, last = -1;
        for (int t = 0; t < FRAMES; t++) {
            int n = 0;
            for (int d = 0; d < BINS; d++)
                n += x[t * BINS + d] == 0;
            zeros += n;
            if (n < BINS)
                bins = n;
            else {
                frames++;
                first = first < 0 ? t : first;
                last = t;
            }
        }
        assert_in_range(frames, 1, SPEC_AUGMENT_FRAMES);
        assert_in_range(bins, 1, SPEC_AUGMENT_BINS);
        assert_int_equal(last - first + 1, frames);
        assert_int_equal(zeros, frames * BINS + (FRAMES - frames) * bins);
        longest = frames > longest ? frames : longest;
        widest = bins > widest ? bins : widest;
    }
    assert_int_equal(longest, SPEC_AUGMENT_FRAMES);
    assert_int_equal(widest, SPEC_AUGMENT_BINS);
    Rng rng = rng_stream(seed, "spec augment", 0, 1);
    spec_augment(&rng, x, 1, 1); // nothing is written outside
}

static double gain_db_at(double tone_hz)
{
    float x[N];
    fill_tone(x, tone_hz);
    degrade_band_limit(x, N);
    return 20 * log10(root_mean_square(x + N / 2, N / 2) / (0.3 / sqrt(2))); // settled by then
}

// Of two cascaded Butterworth filters at the edges given, after the bilinear transform.
static void test_telephone_band(void **state)
{
    (void)state;
    const double tones_hz[] = {50, 150, 300, 440, 1000, 2500, 3400, 4000, 6000};
    for (size_t i = 0; i < sizeof tones_hz / sizeof *tones_hz; i++) {
        double w = tan(M_PI * tones_hz[i] / 16000), low = tan(M_PI * 300 / 16000),
               high = tan(M_PI * 3400 / 16000);
        double expected = -10 * log10(1 + pow(low / w, 8)) - 10 * log10(1 + pow(w / high, 16));
        assert_true(fabs(gain_db_at(tones_hz[i]) - expected) < 0.05);
    }
    assert_true(gain_db_at(150) < -20 && fabs(gain_db_at(1000)) < 0.01 && gain_db_at(5000) < -40);
}

// Nothing beyond the level, what lies below is left alone, and the levels fill 3 to 15 dB.
static void test_clipping(void **state)
{
    (void)state;
    float clean[N], x[N];
    double softest = 0, hardest = -100;
    Rng rng = rng_stream(seed, "clipping", 0, 0);
    for (int draw = 0; draw < 200; draw++) {
        fill(&rng, clean, N / 10);
        memcpy(x, clean, sizeof x);
        degrade_clip(&rng, x, N / 10);
        float before = 0, level = 0;
        for (int t = 0; t < N / 10; t++) {
            before = fmaxf(before, fabsf(clean[t]));
            level = fmaxf(level, fabsf(x[t]));
        }
        for (int t = 0; t < N / 10; t++)
            assert_true(x[t] == (fabsf(clean[t]) <= level ? clean[t] : copysignf(level, clean[t])));
        double db = 20 * log10(level / before);
        softest = fmin(softest, db);
        hardest = fmax(hardest, db);
    }
    assert_true(softest > -15.01 && softest < -14 && hardest < -2.99 && hardest > -4);
}

// 256 values, each rounded again to itself, and errors in proportion: half a step of ln(1 + 255 |x|).
static void test_mu_law(void **state)
{
    (void)state;
    enum { STEPS = 100001 };
    float *x = mem_alloc(STEPS, sizeof *x), *again = mem_alloc(STEPS, sizeof *again);
    for (int i = 0; i < STEPS; i++)
        x[i] = 2 * (float)i / (STEPS - 1) - 1;
    degrade_mu_law(x, STEPS);
    int n_values = 1;
    for (int i = 0; i < STEPS; i++) {
        double given = 2.0 * i / (STEPS - 1) - 1, half_step = exp(log(256) / 255) - 1;
        assert_true(fabs(x[i] - given) <= half_step * (fabs(given) + 1 / 255.0) + 1e-6);
        n_values += i > 0 && x[i] != x[i - 1];
    }
    assert_int_equal(n_values, 256);
    memcpy(again, x, STEPS * sizeof *x);
    degrade_mu_law(again, STEPS);
    for (int i = 0; i < STEPS; i++)
        assert_true(fabsf(again[i] - x[i]) < 1e-6f);
    float loud[2] = {-3, 3};
    degrade_mu_law(loud, 2);
    assert_true(fabsf(loud[0] + 1) < 1e-6f && fabsf(loud[1] - 1) < 1e-6f);
    mem_free(again);
    mem_free(x);
}

// Every draw does something, the same for the same stream; silence stays finite.
static void test_degrade(void **state)
{
    (void)state;
    float clean[N], x[N], again[N], silence[N] = {0};
    int n_without_bass = 0;
    for (uint64_t draw = 0; draw < 70; draw++) {
        fill_tone(clean, 60);
        memcpy(x, clean, sizeof x);
        memcpy(again, clean, sizeof x);
        Rng first = rng_stream(seed, "degrade", draw, 0), second = first, third = first;
        degrade(&first, x, N);
        degrade(&second, again, N);
        degrade(&third, silence, N);
        assert_memory_equal(x, again, sizeof x);
        assert_memory_not_equal(x, clean, sizeof x);
        n_without_bass += root_mean_square(x, N) < 0.1 * root_mean_square(clean, N);
    }
    assert_in_range(n_without_bass, 20, 60); // 4 choices of 7
    for (int t = 0; t < N; t++)
        assert_true(fabsf(silence[t]) < 1e-3f); // the smallest step of mu-law
}

// A tone is transposed by the speed and keeps its level; what would be above half the rate is taken away.
static void test_speed(void **state)
{
    (void)state;
    const double speeds[] = {0.9, 1.1};
    float in[2 * N], out[N];
    for (int k = 0; k < 2; k++) {
        int64_t n_in = llround(N * speeds[k]);
        for (int i = 0; i < n_in; i++)
            in[i] = 0.3f * (float)sin(2 * M_PI * 1000 * i / 16000);
        assert_int_equal(speed_change(in, n_in, out, N, NULL), 0);
        for (int t = 200; t < N - 200; t++) // the resampler's filter reaches over the ends
            assert_true(fabs(out[t] - 0.3 * sin(2 * M_PI * 1000 * speeds[k] * t / 16000)) < 1e-3);
    }
    for (int i = 0; i < N * 11 / 10; i++)
        in[i] = 0.3f * (float)sin(2 * M_PI * 7700 * i / 16000); // 8470 Hz at 1.1
    assert_int_equal(speed_change(in, N * 11 / 10, out, N, NULL), 0);
    assert_true(root_mean_square(out + 400, N - 800) < 1e-3);
}

int main(void)
{
    seed = test_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_augment),
        cmocka_unit_test(test_telephone_band),
        cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_mu_law),
        cmocka_unit_test(test_degrade),
        cmocka_unit_test(test_speed),
        cmocka_unit_test(test_probability_zero_changes_nothing),
        cmocka_unit_test(test_same_stream_same_result_and_sane_levels),
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_measured_response),
        cmocka_unit_test(test_given_noise_is_used),
        cmocka_unit_test(test_classes_and_their_ratios),
        cmocka_unit_test(test_bad_folders_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
