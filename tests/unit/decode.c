// Decoding: exact where nothing has to change, right in level and length where it has.
#include <math.h>
#include <setjmp.h>
#include <sndfile.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "audio/decode.h"
#include "base/memory.h"

static const DecodeLimits LIMITS = {.min_seconds = 0.5, .silence_db = -70};

// One second of tones [n, channels], channel c at gains[c], into a new file; the caller unlinks and frees.
static char *write_tones(int rate_hz, int channels, const float *gains, int format, double tone_hz)
{
    char *path = mem_printf("/tmp/voxloop-decode-XXXXXX");
    close(mkstemp(path));
    SF_INFO info = {.samplerate = rate_hz, .channels = channels, .format = format};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    assert_non_null(file);
    for (int i = 0; i < rate_hz; i++) {
        float frame[2];
        for (int c = 0; c < channels; c++)
            frame[c] = gains[c] * (float)sin(2 * M_PI * tone_hz * i / rate_hz);
        assert_int_equal(sf_writef_float(file, frame, 1), 1);
    }
    sf_close(file);
    return path;
}

static int16_t *decode(char *path, int64_t *n)
{
    Error error = {0};
    int16_t *samples = NULL;
    if (audio_decode(path, &LIMITS, &samples, n, &error) < 0)
        fail_msg("%s", error.text);
    unlink(path);
    mem_free(path);
    return samples;
}

static void test_sixteen_kilohertz_is_exact(void **state)
{
    (void)state;
    char *path = write_tones(16000, 1, (float[]){0.7f}, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 440);
    int16_t expected[16000];
    SF_INFO info = {0};
    SNDFILE *file = sf_open(path, SFM_READ, &info);
    assert_int_equal(sf_read_short(file, expected, 16000), 16000);
    sf_close(file);
    int64_t n = 0;
    int16_t *samples = decode(path, &n);
    assert_int_equal(n, 16000);
    assert_memory_equal(samples, expected, sizeof expected);
    mem_free(samples);
}

static double level(const int16_t *samples, int64_t from, int64_t to)
{
    double sum = 0;
    for (int64_t i = from; i < to; i++)
        sum += (samples[i] / 32768.0) * (samples[i] / 32768.0);
    return sqrt(sum / (double)(to - from));
}

// A tone of amplitude a has the root mean square a / sqrt(2), whatever the rate; the ends are left out, where
// the resampler's filter rings.
static void test_rates_keep_length_and_level(void **state)
{
    (void)state;
    const int rates_hz[] = {8000, 11025, 22050, 44100, 48000, 96000};
    for (size_t r = 0; r < sizeof rates_hz / sizeof *rates_hz; r++) {
        char *path = write_tones(rates_hz[r], 1, (float[]){0.5f}, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1000);
        int64_t n = 0;
        int16_t *samples = decode(path, &n);
        assert_in_range(n, 15999, 16001);
        assert_true(fabs(level(samples, 2000, 14000) - 0.5 / sqrt(2)) < 1e-3);
        mem_free(samples);
    }
}

static void test_channels_are_averaged(void **state)
{
    (void)state;
    char *path = write_tones(44100, 2, (float[]){0.8f, 0.2f}, SF_FORMAT_WAV | SF_FORMAT_PCM_24, 1000);
    int64_t n = 0;
    int16_t *samples = decode(path, &n);
    assert_true(fabs(level(samples, 2000, 14000) - 0.5 / sqrt(2)) < 1e-3);
    mem_free(samples);
}

static void test_frequencies_above_eight_kilohertz_do_not_fold(void **state)
{
    (void)state;
    Error error = {0};
    int16_t *samples = NULL;
    int64_t n = 0;
    char *path = write_tones(48000, 1, (float[]){0.5f}, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 11000);
    // What is left is only the switching on and off of the tone.
    assert_int_equal(
        audio_decode(path, &(DecodeLimits){.min_seconds = 0.5, .silence_db = -200}, &samples, &n, &error), 0);
    assert_true(level(samples, 2000, 14000) < 1e-4);
    mem_free(samples);
    unlink(path);
    mem_free(path);
}

static void assert_refused(char *path, const char *reason)
{
    Error error = {0};
    int16_t *samples = NULL;
    int64_t n = 0;
    assert_int_equal(audio_decode(path, &LIMITS, &samples, &n, &error), -1);
    assert_null(samples);
    if (!strstr(error.text, reason))
        fail_msg("\"%s\" does not say \"%s\"", error.text, reason);
    unlink(path);
    mem_free(path);
}

static void test_refusals(void **state)
{
    (void)state;
    const int format = SF_FORMAT_WAV | SF_FORMAT_FLOAT;
    assert_refused(write_tones(16000, 1, (float[]){0}, format, 440), "silent: every sample is zero");
    assert_refused(write_tones(16000, 1, (float[]){2e-4f}, format, 440), "silent: 7");
    assert_refused(write_tones(16000, 1, (float[]){NAN}, format, 440), "not finite");
    assert_refused(write_tones(16000, 2, (float[]){1, INFINITY}, format, 440), "not finite");
    assert_refused(mem_strdup("/tmp/voxloop-decode-not-there"), "unreadable");

    char *cut = write_tones(16000, 1, (float[]){0.5f}, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 440);
    FILE *file = fopen(cut, "r+");
    fseek(file, 0, SEEK_END);
    assert_int_equal(ftruncate(fileno(file), ftell(file) / 4), 0);
    fclose(file);
    assert_refused(cut, "corrupt after");

    char *empty = write_tones(16000, 1, (float[]){0.5f}, format, 440);
    assert_int_equal(truncate(empty, 0), 0);
    assert_refused(empty, "empty: a file of no bytes");
}

// The offset of a converter without a microphone.
static void test_a_constant_is_silence(void **state)
{
    (void)state;
    char *path = mem_printf("/tmp/voxloop-decode-XXXXXX");
    close(mkstemp(path));
    SF_INFO info = {.samplerate = 16000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    for (int i = 0; i < 16000; i++)
        sf_write_short(file, (short[]){1234}, 1);
    sf_close(file);
    assert_refused(path, "silent: ");
}

static void test_too_short(void **state)
{
    (void)state;
    Error error = {0};
    int16_t *samples = NULL;
    int64_t n = 0;
    char *path = write_tones(16000, 1, (float[]){0.5f}, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 440);
    assert_int_equal(
        audio_decode(path, &(DecodeLimits){.min_seconds = 1.5, .silence_db = -70}, &samples, &n, &error), -1);
    assert_non_null(strstr(error.text, "too short: 1.00 s, less than 1.5 s"));
    unlink(path);
    mem_free(path);
}

static void test_too_long(void **state)
{
    (void)state;
    Error error = {0};
    int16_t *samples = NULL;
    int64_t n = 0;
    char *path = write_tones(48000, 1, (float[]){0.5f}, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 440);
    assert_int_equal(
        audio_decode(path, &(DecodeLimits){.max_seconds = 0.9, .silence_db = -70}, &samples, &n, &error), -1);
    assert_non_null(strstr(error.text, "too long: more than 0.9 s"));
    unlink(path);
    mem_free(path);
}

// A recording in int16 units, as some tools write floats, must not turn into a square wave.
static void test_beyond_full_scale_is_scaled_down(void **state)
{
    (void)state;
    char *path = write_tones(16000, 1, (float[]){20000}, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 440);
    int64_t n = 0;
    int16_t *samples = decode(path, &n);
    assert_true(fabs(level(samples, 0, n) - 1 / sqrt(2)) < 1e-3);
    mem_free(samples);
}

static void write_size(const char *path, uint32_t size)
{
    unsigned char bytes[4] = {(unsigned char)size, (unsigned char)(size >> 8), (unsigned char)(size >> 16),
                              (unsigned char)(size >> 24)};
    FILE *file = fopen(path, "r+b");
    fseek(file, 4, SEEK_SET);
    assert_int_equal(fwrite(bytes, 1, sizeof bytes, file), sizeof bytes);
    fclose(file);
}

// libsndfile reads what is left of a WAV without a word. A size that a pipe could not fill in is no damage.
static void test_cut_wav(void **state)
{
    (void)state;
    const int format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
    char *cut = write_tones(16000, 1, (float[]){0.5f}, format, 440);
    assert_int_equal(truncate(cut, 22000), 0);
    assert_refused(cut, "cut off: has 21956 of the 32000 bytes");
    const uint32_t streamed[] = {0xffffffffu, 0x7fffffffu, 0};
    for (size_t i = 0; i < sizeof streamed / sizeof *streamed; i++) {
        char *path = write_tones(16000, 1, (float[]){0.5f}, format, 440);
        write_size(path, streamed[i]);
        int64_t n = 0;
        mem_free(decode(path, &n));
        assert_int_equal(n, 16000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sixteen_kilohertz_is_exact),
        cmocka_unit_test(test_rates_keep_length_and_level),
        cmocka_unit_test(test_channels_are_averaged),
        cmocka_unit_test(test_frequencies_above_eight_kilohertz_do_not_fold),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_constant_is_silence),
        cmocka_unit_test(test_too_short),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_beyond_full_scale_is_scaled_down),
        cmocka_unit_test(test_cut_wav),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
