// What encoders eat: filter banks without their mean, or samples as they are.
#include "audio/front_end.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "audio/fbank.h"
#include "base/memory.h"

enum { N = 4000, FRAMES = 1 + (N - 400) / 160 };

static void draw(float *samples)
{
    Rng rng = rng_stream(3, "front end", 0, 0);
    for (int i = 0; i < N; i++)
        samples[i] = (float)rng_range(&rng, -0.5, 0.5);
}

static void test_waveforms_stay_as_they_are(void **state)
{
    (void)state;
    float samples[N], row[N];
    draw(samples);
    FrontEnd *front_end = front_end_create(ENCODER_WAVEFORM);
    InputShape shape = front_end_shape(ENCODER_WAVEFORM, N);
    assert_int_equal(shape.length, N);
    assert_int_equal(shape.width, 1);
    front_end_compute(front_end, samples, N, NULL, row);
    assert_memory_equal(row, samples, sizeof row);
    assert_int_equal(front_end_samples(ENCODER_WAVEFORM, 77), 77);
    assert_false(front_end_has_bands(ENCODER_WAVEFORM));
    front_end_destroy(front_end);
}

static void test_filter_banks_lose_their_mean(void **state)
{
    (void)state;
    float samples[N];
    draw(samples);
    FrontEnd *front_end = front_end_create(ENCODER_FBANK);
    InputShape shape = front_end_shape(ENCODER_FBANK, N);
    assert_int_equal(shape.length, FRAMES);
    assert_int_equal(shape.width, 80);
    float *row = mem_alloc((size_t)input_floats(shape), sizeof(float));
    float *plain = mem_alloc((size_t)input_floats(shape), sizeof(float));
    front_end_compute(front_end, samples, N, NULL, row);
    FbankOptions options = fbank_defaults();
    Fbank *fbank = fbank_create(&options);
    fbank_compute(fbank, samples, N, NULL, plain);
    for (int d = 0; d < 80; d++) {
        double mean = 0;
        for (int t = 0; t < FRAMES; t++)
            mean += plain[t * 80 + d] / FRAMES;
        for (int t = 0; t < FRAMES; t++) // logarithms of about 15: their rounding is 1e-6
            assert_float_equal(row[t * 80 + d], plain[t * 80 + d] - (float)mean, 1e-5);
    }
    fbank_destroy(fbank);
    mem_free(plain);
    mem_free(row);
    front_end_destroy(front_end);
}

static void test_dither_only_where_a_stream_is_given(void **state)
{
    (void)state;
    float samples[N];
    draw(samples);
    size_t bytes = (size_t)input_floats(front_end_shape(ENCODER_FBANK, N)) * sizeof(float);
    float *clean = mem_alloc(bytes, 1), *again = mem_alloc(bytes, 1);
    FrontEnd *front_end = front_end_create(ENCODER_FBANK);
    front_end_compute(front_end, samples, N, NULL, clean);
    front_end_compute(front_end, samples, N, NULL, again);
    assert_memory_equal(clean, again, bytes);
    front_end_compute(front_end, samples, N, &(Rng){.key = 5}, again);
    assert_memory_not_equal(clean, again, bytes);
    front_end_destroy(front_end);
    mem_free(clean);
    mem_free(again);
}

static void test_the_fewest_samples(void **state)
{
    (void)state;
    for (int64_t length = 1; length < 5; length++) {
        int64_t n = front_end_samples(ENCODER_FBANK, length);
        assert_int_equal(front_end_shape(ENCODER_FBANK, n).length, length);
        assert_int_equal(front_end_shape(ENCODER_FBANK, n - 1).length, length - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_waveforms_stay_as_they_are),
                                       cmocka_unit_test(test_filter_banks_lose_their_mean),
                                       cmocka_unit_test(test_dither_only_where_a_stream_is_given),
                                       cmocka_unit_test(test_the_fewest_samples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
