// What degrades, masks and changes the speed of a crop: by the formula, within its bounds, and nothing else.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "audio/degrade.h"
#include "audio/room.h"
#include "audio/spec_augment.h"
#include "audio/speed.h"
#include "base/memory.h"
#include "gradcheck.h"

enum { N = 16000 };

static uint64_t seed;

static void fill_tone(float *x, double hz)
{
    for (int i = 0; i < N; i++)
        x[i] = 0.3f * (float)sin(2 * M_PI * hz * i / 16000);
}

static void fill(Rng *rng, float *samples, int64_t n)
{
    for (int64_t t = 0; t < n; t++)
        samples[t] = (float)(0.1 * rng_normal(rng));
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
        cmocka_unit_test(test_spec_augment), cmocka_unit_test(test_telephone_band),
        cmocka_unit_test(test_clipping),     cmocka_unit_test(test_mu_law),
        cmocka_unit_test(test_degrade),      cmocka_unit_test(test_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
