// Filter banks: against the formulas written out plainly, in double precision and with a plain Fourier sum;
// the arithmetic of frames; dither. The golden test compares with Kaldi itself.
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "audio/fbank.h"
#include "audio/rough_normal.h"
#include "base/memory.h"

enum { WINDOW = 400, FFT_SIZE = 512, N_MELS = 80 };

static uint64_t seed;

static double mel(double hz)
{
    return 1127 * log(1 + hz / 700);
}

static void windowed(const float *samples, double x[WINDOW])
{
    double mean = 0, raw[WINDOW];
    for (int i = 0; i < WINDOW; i++)
        mean += 32768.0 * samples[i] / WINDOW;
    for (int i = 0; i < WINDOW; i++)
        raw[i] = 32768.0 * samples[i] - mean;
    for (int i = 0; i < WINDOW; i++)
        x[i] = (raw[i] - 0.97 * raw[i > 0 ? i - 1 : 0]) * (0.54 - 0.46 * cos(2 * M_PI * i / (WINDOW - 1)));
}

static void plain_fbank(const float *samples, double out[N_MELS])
{
    double x[WINDOW], power[FFT_SIZE / 2];
    windowed(samples, x);
    for (int k = 0; k < FFT_SIZE / 2; k++) {
        double re = 0, im = 0;
        for (int i = 0; i < WINDOW; i++) {
            re += x[i] * cos(2 * M_PI * k * i / FFT_SIZE);
            im += x[i] * sin(2 * M_PI * k * i / FFT_SIZE);
        }
        power[k] = re * re + im * im;
    }
    double low = mel(20), step = (mel(8000) - low) / (N_MELS + 1);
    for (int m = 0; m < N_MELS; m++) {
        double energy = 0;
        for (int k = 0; k < FFT_SIZE / 2; k++) {
            double distance = fabs(mel(k * 16000.0 / FFT_SIZE) - (low + (m + 1) * step)) / step;
            energy += distance < 1 ? (1 - distance) * power[k] : 0;
        }
        out[m] = log(fmax(energy, FLT_EPSILON));
    }
}

static void fill(Rng *rng, float *samples, int64_t n, double level)
{
    for (int64_t i = 0; i < n; i++)
        samples[i] = (float)(level * rng_normal(rng));
}

static void test_plain_reference(void **state)
{
    (void)state;
    enum { N = 2000 };
    FbankOptions options = fbank_defaults();
    Fbank *fbank = fbank_create(&options);
    Rng rng = rng_stream(seed, "fbank", 0, 0);
    float samples[N];
    fill(&rng, samples, N, 0.1);
    int64_t n_frames = fbank_frames(N);
    assert_int_equal(n_frames, 11);
    float *features = mem_alloc((size_t)(n_frames * N_MELS), sizeof *features);
    fbank_compute(fbank, samples, N, NULL, features);
    for (int64_t t = 0; t < n_frames; t++) {
        double expected[N_MELS];
        plain_fbank(samples + 160 * t, expected);
        // White noise: no bin is small against the frame, so float32 keeps four digits of every energy.
        for (int m = 0; m < N_MELS; m++)
            assert_true(fabs(features[t * N_MELS + m] - expected[m]) < 1e-3);
    }
    mem_free(features);
    fbank_destroy(fbank);
}

static void test_frames_and_samples(void **state)
{
    (void)state;
    assert_int_equal(fbank_frames(0), 0);
    assert_int_equal(fbank_frames(399), 0);
    assert_int_equal(fbank_frames(400), 1);
    assert_int_equal(fbank_frames(559), 1);
    assert_int_equal(fbank_frames(560), 2);
    for (int64_t n_frames = 1; n_frames < 1000; n_frames += 37) {
        assert_int_equal(fbank_frames(fbank_samples(n_frames)), n_frames);
        assert_int_equal(fbank_frames(fbank_samples(n_frames) - 1), n_frames - 1);
    }
}

static void test_mean_is_removed(void **state)
{
    (void)state;
    float features[] = {1, 10, 2, 20, 6, 0}; // [3, 2]
    const float expected[] = {-2, 0, -1, 10, 3, -10};
    fbank_subtract_mean(features, 3, 2);
    assert_memory_equal(features, expected, sizeof expected);
}

// Dither lifts silence off the floor, and is the same for the same stream.
static void test_dither(void **state)
{
    (void)state;
    FbankOptions options = fbank_defaults();
    options.dither = 1;
    Fbank *fbank = fbank_create(&options);
    const float silence[WINDOW] = {0};
    float first[N_MELS], second[N_MELS], clean[N_MELS];
    Rng a = rng_stream(seed, "dither", 0, 0), b = a;
    fbank_compute(fbank, silence, WINDOW, &a, first);
    fbank_compute(fbank, silence, WINDOW, &b, second);
    fbank_compute(fbank, silence, WINDOW, NULL, clean);
    assert_memory_equal(first, second, sizeof first);
    for (int m = 0; m < N_MELS; m++) {
        assert_true(fabs(clean[m] - log(FLT_EPSILON)) < 1e-4);
        assert_true(first[m] > -6); // energies around 100 x the triangle's width, and never a floor
    }
    fbank_destroy(fbank);
}

static void test_rough_normal_has_the_moments(void **state)
{
    (void)state;
    enum { N = 1000000 };
    Rng rng = rng_stream(seed, "rough normal", 0, 0);
    double sum = 0, squares = 0, fourths = 0;
    for (int i = 0; i < N; i++) {
        double x = rough_normal(&rng);
        sum += x;
        squares += x * x;
        fourths += x * x * x * x;
    }
    // Five standard errors: of the mean 1e-3, of the variance 1.3e-3 (kurtosis 2.7), of the fourth moment
    // 6e-3.
    assert_true(fabs(sum / N) < 5e-3);
    assert_true(fabs(squares / N - 1) < 7e-3);
    assert_true(fabs(fourths / N - 2.7) < 3e-2);
}

int main(void)
{
    seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_reference),
        cmocka_unit_test(test_frames_and_samples),
        cmocka_unit_test(test_mean_is_removed),
        cmocka_unit_test(test_dither),
        cmocka_unit_test(test_rough_normal_has_the_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
