// What encoders eat: filter banks without their mean, or samples as they are.
#include "audio/front_end.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "audio/fbank.h"
#include "base/memory.h"
#include "models/encoder.h"
#include "peers/peer_sizes.h"

enum { SECOND = 16000, N = 4000, FRAMES = 1 + (N - 400) / 160 };

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

// A tone that swells and dies away: 1 s loud, 1 s 40 dB below (no speech, above the floor), 1 s of digital
// zeros; the level of all is `gain`.
static void swelling_tone(float *samples, float gain)
{
    for (int i = 0; i < 3 * SECOND; i++) {
        double level = i < SECOND ? 0.5 : i < 2 * SECOND ? 0.005 : 0;
        samples[i] = gain * (float)(level * sin(2 * M_PI * 1000 * i / SECOND));
    }
}

// The formula in front_end.h by the plain filter banks, frame by frame.
static void test_floored_filter_banks(void **state)
{
    (void)state;
    static float samples[3 * SECOND];
    swelling_tone(samples, 1);
    int64_t n = front_end_shape(ENCODER_FLOORED_FBANK, 3 * SECOND).length, n_speech = 0;
    float *row = mem_alloc((size_t)n * 80, sizeof(float)), *plain = mem_alloc((size_t)n * 80, sizeof(float));
    FrontEnd *front_end = front_end_create(ENCODER_FLOORED_FBANK);
    front_end_compute(front_end, samples, 3 * SECOND, NULL, row);
    FbankOptions options = fbank_defaults();
    Fbank *fbank = fbank_create(&options);
    fbank_compute(fbank, samples, 3 * SECOND, NULL, plain);
    double loud = 0, mean[80] = {0};
    for (int m = 0; m < 80; m++)
        loud += exp(plain[50 * 80 + m]); // a third of the frames are as loud as this one
    for (int64_t t = 0; t < n; t++) {
        double energy = 0;
        for (int m = 0; m < 80; m++)
            energy += exp(plain[t * 80 + m]);
        for (int m = 0; m < 80; m++) {
            plain[t * 80 + m] = (float)log(exp(plain[t * 80 + m]) + 1e-5 * loud);
            mean[m] += energy > 1e-3 * loud ? plain[t * 80 + m] : 0;
        }
        n_speech += energy > 1e-3 * loud;
    }
    assert_in_range(n_speech, 98, 102);  // the loud second
    for (int64_t i = 0; i < n * 80; i++) // loud frames differ by a phase: 1e-3 of their energy
        assert_float_equal(row[i], plain[i] - mean[i % 80] / (double)n_speech, 5e-3);
    for (int m = 0; m < 80; m++) // digital zeros lie on the floor, 50 dB = 11.5 below; the mean is above it
        assert_true(row[(n - 1) * 80 + m] <= 1e-3 && row[(n - 1) * 80 + m] > -11.6);
    fbank_destroy(fbank);
    front_end_destroy(front_end);
    mem_free(plain);
    mem_free(row);
}

static void test_floored_filter_banks_ignore_the_level(void **state)
{
    (void)state;
    static float samples[3 * SECOND];
    size_t floats = (size_t)input_floats(front_end_shape(ENCODER_FLOORED_FBANK, 3 * SECOND));
    float *loud = mem_alloc(floats, sizeof(float)), *quiet = mem_alloc(floats, sizeof(float));
    FrontEnd *front_end = front_end_create(ENCODER_FLOORED_FBANK);
    swelling_tone(samples, 1);
    front_end_compute(front_end, samples, 3 * SECOND, NULL, loud);
    swelling_tone(samples, 0.125F);
    front_end_compute(front_end, samples, 3 * SECOND, NULL, quiet);
    for (size_t i = 0; i < floats; i++)
        assert_float_equal(loud[i], quiet[i], 1e-3);
    memset(samples, 0, sizeof samples); // nothing but zeros: no frame is louder than another
    front_end_compute(front_end, samples, 3 * SECOND, NULL, quiet);
    for (size_t i = 0; i < floats; i++)
        assert_float_equal(quiet[i], 0, 1e-3);
    front_end_destroy(front_end);
    mem_free(loud);
    mem_free(quiet);
}

// The key of the architecture decides, for encoders of filter banks alone.
static void test_the_architecture_names_the_features(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int input; // -1: refused
    } CASES[] = {
        {"{\"encoder\": \"ecapa\", \"channels\": 16}", ENCODER_FBANK},
        {"{\"encoder\": \"ecapa\", \"channels\": 16, \"features\": \"fbank\"}", ENCODER_FBANK},
        {"{\"encoder\": \"ecapa\", \"channels\": 16, \"features\": \"floored\"}", ENCODER_FLOORED_FBANK},
        {"{\"encoder\": \"resnet\", \"m_channels\": 4, \"features\": \"floored\"}", ENCODER_FLOORED_FBANK},
        {"{\"encoder\": \"ivector\", \"gaussians\": 2, \"ivector_dim\": 2, \"features\": \"floored\"}", -1},
        {"{\"encoder\": \"ecapa\", \"channels\": 16, \"features\": \"loud\"}", -1},
        {"{\"encoder\": \"ecapa\", \"channels\": 16, \"features\": 1}", -1}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        cJSON *architecture = cJSON_Parse(CASES[i].text);
        Parameters parameters;
        Error error = {0};
        parameters_init(&parameters);
        Encoder *encoder = encoder_create(architecture, &parameters, &error);
        assert_int_equal(encoder ? (int)encoder->input : -1, CASES[i].input);
        assert_true(encoder || strstr(error.text, "features"));
        error_clear(&error);
        encoder_destroy(encoder);
        parameters_release(&parameters);
        cJSON_Delete(architecture);
    }
}

static void test_no_peer_gets_floored_features(void **state)
{
    (void)state;
    for (int floored = 0; floored < 2; floored++) {
        cJSON *config, *architecture = cJSON_Parse("{\"encoder\": \"ecapa\"}");
        cJSON_AddStringToObject(architecture, "features", floored ? "floored" : "fbank");
        Error error = {0};
        assert_int_equal(peer_config(PEER_WESPEAKER, architecture, &config, &error), floored ? -1 : 0);
        assert_true(!floored || strstr(error.text, "floored"));
        error_clear(&error);
        cJSON_Delete(architecture);
    }
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
                                       cmocka_unit_test(test_floored_filter_banks),
                                       cmocka_unit_test(test_floored_filter_banks_ignore_the_level),
                                       cmocka_unit_test(test_the_architecture_names_the_features),
                                       cmocka_unit_test(test_no_peer_gets_floored_features),
                                       cmocka_unit_test(test_the_fewest_samples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
