// What masked prediction draws: spans of frames, and another voice over at most half of a crop.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "audio/mix.h"
#include "gradcheck.h"
#include "train/masked_trainer.h"

static void test_mask(void **state)
{
    (void)state;
    enum { N = 100, LENGTH = 10 };
    Rng rng = rng_stream(test_seed(), "mask", 0, 0);
    int64_t times[N] = {0};
    for (int draw = 0; draw < 500; draw++) {
        bool mask[N];
        int64_t n = draw_mask(&rng, N, 0.65, LENGTH, mask), counted = 0, run = 0, shortest = N;
        for (int i = 0; i < N; i++) {
            counted += mask[i];
            times[i] += mask[i];
            run = mask[i] ? run + 1 : 0;
            if (mask[i] && (i + 1 == N || !mask[i + 1]) && run < shortest)
                shortest = run;
        }
        assert_int_equal(counted, n);
        assert_in_range(n, 65, 65 + LENGTH - 1);
        assert_true(shortest >= LENGTH);
    }
    for (int i = LENGTH; i < N - LENGTH; i++) // nowhere much more often than elsewhere
        assert_in_range(times[i], 280, 460);
    bool all[3];
    assert_int_equal(draw_mask(&rng, 3, 0.5, LENGTH, all), 3); // a span longer than the crop
}

static void test_mix(void **state)
{
    (void)state;
    enum { N = 4000 };
    Rng rng = rng_stream(test_seed(), "mix", 0, 0);
    for (int draw = 0; draw < 200; draw++) {
        float samples[N], mixed[N], other[N];
        for (int i = 0; i < N; i++) {
            samples[i] = 0.1f * (float)rng_normal(&rng);
            other[i] = 0.7f * (float)rng_normal(&rng);
        }
        memcpy(mixed, samples, sizeof mixed);
        MixPlace place = mix_draw(&rng, N);
        assert_true(place.n >= 1 && place.n <= N / 2 + 1 && place.start >= 0 && place.start + place.n <= N);
        assert_true(place.snr_db >= -5 && place.snr_db <= 5);
        mix_apply(&place, other, mixed, N);
        double own = 0, its = 0;
        for (int i = 0; i < N; i++) {
            bool inside = i >= place.start && i < place.start + place.n;
            assert_true(inside || mixed[i] == samples[i]);
            own += (double)samples[i] * samples[i] / N;
            its += inside ? pow((double)mixed[i] - samples[i], 2) / (double)place.n : 0;
        }
        assert_true(fabs(10 * log10(own / its) - place.snr_db) < 0.1);
    }
    float silent[100] = {0}, voice[100] = {1};
    MixPlace place = {.n = 50};
    mix_apply(&place, voice, silent, 100);
    for (int i = 0; i < 100; i++)
        assert_true(silent[i] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mask), cmocka_unit_test(test_mix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
