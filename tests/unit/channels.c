// What becomes of channels, wild samples, silence and odd rates.
#include <math.h>
#include <setjmp.h>
#include <sndfile.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "audio/decode.h"
#include "base/memory.h"
#include "base/rng.h"

enum { RATE_HZ = 16000, N = 3 * RATE_HZ };

static const int WAV_FLOAT = SF_FORMAT_WAV | SF_FORMAT_FLOAT;
static const DecodeLimits LIMITS = {.min_seconds = 0.5, .silence_db = -70};

// Sample t of channel c.
typedef double (*Signal)(int64_t t, int c, int rate_hz);

static char *write_signal(int format, int rate_hz, int channels, double seconds, Signal signal)
{
    char *path = mem_printf("/tmp/voxloop-channels-XXXXXX");
    close(mkstemp(path));
    SF_INFO info = {.samplerate = rate_hz, .channels = channels, .format = format};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    assert_non_null(file);
    int64_t n = (int64_t)(seconds * rate_hz);
    float *frames = mem_alloc((size_t)n * (size_t)channels, sizeof(float));
    for (int64_t i = 0; i < n * channels; i++)
        frames[i] = (float)signal(i / channels, (int)(i % channels), rate_hz);
    assert_int_equal(sf_writef_float(file, frames, n), n);
    mem_free(frames);
    sf_close(file);
    return path;
}

static void discard(char *path)
{
    unlink(path);
    mem_free(path);
}

static int16_t *decode(char *path, const DecodeCut *cut, DecodeNotes *notes, int64_t *n)
{
    Error error = {0};
    int16_t *samples = NULL;
    const DecodeCut all = {.end = -1, .channel = DECODE_ALL_CHANNELS};
    if (audio_decode_cut(path, cut ? cut : &all, &LIMITS, &samples, n, notes, &error) < 0)
        fail_msg("%s", error.text);
    discard(path);
    return samples;
}

static void assert_refused(char *path, const DecodeCut *cut, const char *reason)
{
    Error error = {0};
    int16_t *samples;
    int64_t n;
    const DecodeCut all = {.end = -1, .channel = DECODE_ALL_CHANNELS};
    if (audio_decode_cut(path, cut ? cut : &all, &LIMITS, &samples, &n, NULL, &error) == 0)
        fail_msg("accepted; expected: %s", reason);
    if (!strstr(error.text, reason))
        fail_msg("\"%s\" does not say \"%s\"", error.text, reason);
    discard(path);
}

static double voice(int64_t t, int c, int rate_hz)
{
    (void)c;
    double seconds = (double)t / rate_hz, phase = 2 * M_PI * (120 * seconds + 3 * sin(5 * seconds));
    return 0.12 * (1 + sin(9 * seconds)) * (sin(phase) + sin(3 * phase) / 3 + sin(7 * phase) / 5);
}

static double noise(int64_t t, int c)
{
    const Rng rng = {.key = 3 + (uint64_t)c};
    return 0.2 * (rng_uniform_ahead(&rng, (uint64_t)t + 1) - 0.5);
}

static int pcm(double x)
{
    return (int)rint(fmin(fmax(x * 32768, -32768), 32767));
}

// Every sample in [first, last) is that of the signal, within one step.
static void assert_signal(const int16_t *samples, int64_t first, int64_t last, Signal signal, int channel)
{
    for (int64_t t = first; t < last; t++)
        if (abs(samples[t] - pcm(signal(t, channel, RATE_HZ))) > 1)
            fail_msg("sample %lld is %d, not %d", (long long)t, samples[t], pcm(signal(t, channel, RATE_HZ)));
}

// ---- channels ------------------------------------------------------------------------------------------

static double opposite(int64_t t, int c, int rate_hz)
{
    return (c & 1 ? -1 : 1) * voice(t, 0, rate_hz);
}

static double nearly_opposite(int64_t t, int c, int rate_hz)
{
    return (c & 1 ? -0.98 : 1) * voice(t, 0, rate_hz);
}

static double turning(int64_t t, int c, int rate_hz) // the second half is the wrong way round
{
    return (c == 1 && t > N / 2 ? -0.9 : 1) * voice(t, 0, rate_hz);
}

static double opposite_in_noise(int64_t t, int c, int rate_hz)
{
    return (c ? -0.9 : 1) * voice(t, 0, rate_hz) + 0.02 * noise(t, c);
}

static double opposite_offsets(int64_t t, int c, int rate_hz)
{
    return voice(t, 0, rate_hz) + (c ? -0.3 : 0.3);
}

static double unrelated(int64_t t, int c, int rate_hz)
{
    (void)rate_hz;
    return noise(t, c);
}

static double unrelated_mean(int64_t t, int c, int rate_hz)
{
    (void)c, (void)rate_hz;
    return (noise(t, 0) + noise(t, 1)) / 2;
}

static double only_third(int64_t t, int c, int rate_hz)
{
    return c == 2 ? voice(t, 0, rate_hz) : 0;
}

static void check_mix(int channels, Signal signal, Signal expected, bool one_channel)
{
    DecodeNotes notes;
    int64_t n;
    int16_t *samples = decode(write_signal(WAV_FLOAT, RATE_HZ, channels, 3, signal), NULL, &notes, &n);
    assert_int_equal(n, N);
    assert_int_equal(notes.one_channel, one_channel);
    assert_signal(samples, 0, N, expected, 0);
    mem_free(samples);
}

static void test_opposite_channels_do_not_cancel(void **state)
{
    (void)state;
    check_mix(2, opposite, voice, true);
    check_mix(2, nearly_opposite, voice, true);
    check_mix(2, turning, voice, true);
    check_mix(2, opposite_in_noise, opposite_in_noise, true);
    check_mix(6, opposite, voice, true);
    check_mix(8, nearly_opposite, voice, true);
}

static void test_other_channels_are_averaged(void **state)
{
    (void)state;
    check_mix(2, voice, voice, false);
    check_mix(8, voice, voice, false);
    check_mix(2, opposite_offsets, voice, false);
    check_mix(2, unrelated, unrelated_mean, false);
    check_mix(6, only_third, voice, false); // not a sixth of it
    check_mix(16, only_third, voice, false);
}

static void test_a_channel_is_taken_where_one_is_named(void **state)
{
    (void)state;
    for (int channel = 0; channel < 2; channel++) {
        int64_t n;
        DecodeCut cut = {.start = 0.5, .end = 2.5, .channel = channel};
        int16_t *samples = decode(write_signal(WAV_FLOAT, RATE_HZ, 2, 3, unrelated), &cut, NULL, &n);
        assert_int_equal(n, 2 * RATE_HZ);
        for (int64_t t = 0; t < n; t++)
            assert_true(abs(samples[t] - pcm(noise(t + RATE_HZ / 2, channel))) <= 1);
        mem_free(samples);
    }
    const DecodeCut third = {.end = -1, .channel = 2}, side = {.end = -1, .channel = 1, .side_of_call = true},
                    second = {.end = -1, .channel = 1};
    assert_refused(write_signal(WAV_FLOAT, RATE_HZ, 2, 3, voice), &third, "has 2 channels: no channel 2");
    assert_refused(write_signal(WAV_FLOAT, RATE_HZ, 2, 3, only_third), &second,
                   "silent: every sample is zero");
    assert_refused(write_signal(WAV_FLOAT, RATE_HZ, 1, 3, voice), &second, "has 1 channels: no channel 1");
    int64_t n;
    int16_t *samples = decode(write_signal(WAV_FLOAT, RATE_HZ, 1, 3, voice), &side, NULL, &n);
    assert_signal(samples, 0, N, voice, 0);
    mem_free(samples);
}

// ---- wild samples --------------------------------------------------------------------------------------

static double wild(int64_t t, int c, int rate_hz)
{
    return t == 20000 ? 1e30 : voice(t, c, rate_hz);
}

static double wild_burst(int64_t t, int c, int rate_hz)
{
    return t >= 20000 && t < 20016 ? -3e38 : voice(t, c, rate_hz);
}

static double wild_one_channel(int64_t t, int c, int rate_hz)
{
    return t == 20000 && c == 1 ? 50 : voice(t, c, rate_hz);
}

static double in_steps(int64_t t, int c, int rate_hz) // floats in the units of int16
{
    return 32768 * voice(t, c, rate_hz);
}

static double in_steps_wild(int64_t t, int c, int rate_hz)
{
    return t == 20000 ? 1e15 : in_steps(t, c, rate_hz);
}

// Where the rest is as it would be without the wild samples, up to the volume.
static void check_wild(int rate_hz, int channels, Signal signal, Signal clean, int64_t n_held)
{
    DecodeNotes notes;
    int64_t n, n_clean;
    int16_t *samples = decode(write_signal(WAV_FLOAT, rate_hz, channels, 3, signal), NULL, &notes, &n);
    int16_t *expected = decode(write_signal(WAV_FLOAT, rate_hz, channels, 3, clean), NULL, NULL, &n_clean);
    assert_int_equal(n, n_clean);
    assert_int_equal(notes.n_held, n_held);
    int64_t place = 20000LL * RATE_HZ / rate_hz, around = rate_hz == RATE_HZ ? 20 : 400;
    double product = 0, energy = 0;
    for (int64_t t = 0; t < n; t++)
        if (llabs(t - place) > around) {
            product += samples[t] * expected[t];
            energy += (double)expected[t] * expected[t];
        }
    double volume = product / energy;
    assert_true(volume > 0.4 && volume < 1.01);
    for (int64_t t = 0; t < n; t++)
        if (llabs(t - place) > around && fabs(samples[t] - volume * expected[t]) > 8)
            fail_msg("sample %lld is %d, not %g", (long long)t, samples[t], volume * expected[t]);
    mem_free(samples);
    mem_free(expected);
}

static void test_a_wild_sample_does_not_silence_the_rest(void **state)
{
    (void)state;
    check_wild(16000, 1, wild, voice, 1);
    check_wild(44100, 1, wild, voice, 1);
    check_wild(44100, 2, wild, voice, 2);
    check_wild(16000, 1, wild_burst, voice, 16);
    check_wild(48000, 2, wild_one_channel, voice, 1);
    check_wild(16000, 1, in_steps_wild, in_steps, 1);
    check_wild(22050, 1, in_steps_wild, in_steps, 1);
}

static double shouting(int64_t t, int c, int rate_hz)
{
    return 8 * voice(t, c, rate_hz);
}

// Three steps of noise, but for 0.2 s of voice: its loudest samples are few, and not wild.
static double sparse_in_steps(int64_t t, int c, int rate_hz)
{
    return t > 20000 && t < 23200 ? in_steps(t, c, rate_hz) : 15 * noise(t, c);
}

static void test_what_is_only_loud_keeps_its_shape(void **state)
{
    (void)state;
    const Signal signals[] = {shouting, in_steps, sparse_in_steps};
    for (int s = 0; s < 3; s++) {
        DecodeNotes notes;
        int64_t n;
        int16_t *samples = decode(write_signal(WAV_FLOAT, RATE_HZ, 1, 3, signals[s]), NULL, &notes, &n);
        assert_int_equal(notes.n_held, 0);
        double peak = 0;
        for (int64_t t = 0; t < n; t++)
            peak = fmax(peak, fabs(signals[s](t, 0, RATE_HZ)));
        for (int64_t t = 0; t < n; t++)
            assert_true(fabs(samples[t] - signals[s](t, 0, RATE_HZ) / peak * 32768) < 1.01);
        mem_free(samples);
    }
}

// ---- silence -------------------------------------------------------------------------------------------

static double click(int64_t t, int c, int rate_hz)
{
    (void)c;
    return t == rate_hz ? 0.9 : 0;
}

static double click_on_offset(int64_t t, int c, int rate_hz)
{
    return 0.25 + click(t, c, rate_hz) / 2;
}

static double offset(int64_t t, int c, int rate_hz)
{
    (void)t, (void)c, (void)rate_hz;
    return 0.25;
}

static double ultrasound(int64_t t, int c, int rate_hz)
{
    (void)c;
    double seconds = (double)t / rate_hz;
    return 0.3 * sin(2 * M_PI * 30000 * seconds) * sin(M_PI * seconds / 3);
}

static double faint(int64_t t, int c, int rate_hz)
{
    return 1e-5 * voice(t, c, rate_hz);
}

static double faint_but_wild(int64_t t, int c, int rate_hz)
{
    return t == 20000 ? 1e30 : faint(t, c, rate_hz);
}

static double voice_and_click(int64_t t, int c, int rate_hz)
{
    return 0.05 * voice(t, c, rate_hz) + click(t, c, rate_hz);
}

// What counts is what would be written.
static void test_silence(void **state)
{
    (void)state;
    const int formats[] = {WAV_FLOAT, SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_WAV | SF_FORMAT_PCM_24,
                           SF_FORMAT_FLAC | SF_FORMAT_PCM_16};
    const Signal signals[] = {click, click_on_offset, offset, ultrasound, faint};
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
        for (size_t s = 0; s < sizeof signals / sizeof *signals; s++)
            for (int rate_hz = 16000; rate_hz <= 96000; rate_hz *= 6)
                if (rate_hz > 60000 || signals[s] != ultrasound) {
                    assert_refused(write_signal(formats[f], rate_hz, 1, 3, signals[s]), NULL, "silent: ");
                    assert_refused(write_signal(formats[f], rate_hz, 2, 3, signals[s]), NULL, "silent: ");
                }
    assert_refused(write_signal(WAV_FLOAT, RATE_HZ, 1, 3, faint_but_wild), NULL, "silent: ");
    int64_t n;
    mem_free(decode(write_signal(WAV_FLOAT, RATE_HZ, 1, 3, voice_and_click), NULL, NULL, &n));
    mem_free(decode(write_signal(WAV_FLOAT, RATE_HZ, 1, 0.5, voice_and_click), NULL, NULL, &n));
}

// ---- formats and rates ---------------------------------------------------------------------------------

static void test_sample_formats(void **state)
{
    (void)state;
    const struct {
        int format;
        int tolerance; // steps of int16
    } formats[] = {{SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 260},    {SF_FORMAT_AIFF | SF_FORMAT_PCM_S8, 260},
                   {SF_FORMAT_WAV | SF_FORMAT_PCM_24, 1},      {SF_FORMAT_WAV | SF_FORMAT_PCM_32, 1},
                   {SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 1},      {SF_FORMAT_WAV | SF_FORMAT_ULAW, 520},
                   {SF_FORMAT_WAV | SF_FORMAT_ALAW, 520},      {SF_FORMAT_AU | SF_FORMAT_ULAW, 520},
                   {SF_FORMAT_WAVEX | SF_FORMAT_PCM_24, 1},    {SF_FORMAT_AIFF | SF_FORMAT_FLOAT, 1},
                   {SF_FORMAT_CAF | SF_FORMAT_ALAC_16, 1},     {SF_FORMAT_NIST | SF_FORMAT_ULAW, 520},
                   {SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, 4000}};
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        int64_t n;
        int16_t *samples = decode(write_signal(formats[f].format, RATE_HZ, 1, 3, voice), NULL, NULL, &n);
        assert_in_range(n, N, N + 2048);   // ADPCM's last block is filled up
        for (int64_t t = 2000; t < N; t++) // ADPCM has adapted
            if (abs(samples[t] - pcm(voice(t, 0, RATE_HZ))) > formats[f].tolerance)
                fail_msg("format %x: sample %lld is %d, not %d", formats[f].format, (long long)t, samples[t],
                         pcm(voice(t, 0, RATE_HZ)));
        mem_free(samples);
    }
}

static double tone(int64_t t, int c, int rate_hz)
{
    (void)c;
    return 0.5 * sin(2 * M_PI * 1000 * (double)t / rate_hz);
}

static void test_rates(void **state)
{
    (void)state;
    const int fine_hz[] = {4000,  6000,  8000,  11025,  22050,  32000, 44100,
                           48000, 88200, 96000, 176400, 192000, 768000};
    for (size_t r = 0; r < sizeof fine_hz / sizeof *fine_hz; r++) {
        int64_t n;
        int16_t *samples = decode(write_signal(WAV_FLOAT, fine_hz[r], 1, 1, tone), NULL, NULL, &n);
        assert_in_range(n, 15999, 16001);
        for (int64_t t = 1000; t < 15000; t++)
            assert_true(abs(samples[t] - pcm(tone(t, 0, RATE_HZ))) < 20);
        mem_free(samples);
    }
    const uint32_t strange_hz[] = {0, 1, 100, 3999, 768001, 0x7fffffff, 0x80000000, 0xffffffff};
    for (size_t r = 0; r < sizeof strange_hz / sizeof *strange_hz; r++) {
        char *path = write_signal(SF_FORMAT_WAV | SF_FORMAT_PCM_16, RATE_HZ, 1, 3, voice);
        FILE *file = fopen(path, "r+b");
        fseek(file, 24, SEEK_SET);
        assert_int_equal(fwrite(&strange_hz[r], 4, 1, file), 1);
        fclose(file);
        assert_refused(path, NULL, "unreadable: ");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opposite_channels_do_not_cancel),
        cmocka_unit_test(test_other_channels_are_averaged),
        cmocka_unit_test(test_a_channel_is_taken_where_one_is_named),
        cmocka_unit_test(test_a_wild_sample_does_not_silence_the_rest),
        cmocka_unit_test(test_what_is_only_loud_keeps_its_shape),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_sample_formats),
        cmocka_unit_test(test_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
