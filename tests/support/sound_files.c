#include "sound_files.h"

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

#include "base/files.h"
#include "base/memory.h"

static const DecodeLimits LIMITS = {.min_seconds = 0.1, .silence_db = -70};

static char *temporary(void)
{
    char *path = mem_printf("/tmp/voxloop-streams-XXXXXX");
    close(mkstemp(path));
    return path;
}

void sound_file_discard(char *path)
{
    unlink(path);
    mem_free(path);
}

Bytes sound_file_take(char *path)
{
    Bytes bytes;
    assert_int_equal(file_read(path, &bytes.data, &bytes.n, NULL), 0);
    sound_file_discard(path);
    return bytes;
}

char *sound_file_write(const void *first, size_t n_first, const void *second, size_t n_second)
{
    char *path = temporary();
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(first, 1, n_first, file), n_first);
    assert_int_equal(n_second ? fwrite(second, 1, n_second, file) : 0, n_second);
    assert_int_equal(fclose(file), 0);
    return path;
}

float sound_file_voice(double pitch_hz, int rate_hz, int64_t t)
{
    double seconds = (double)t / rate_hz, phase = 2 * M_PI * (pitch_hz * seconds + 3 * sin(5 * seconds)),
           sum = 0;
    for (int harmonic = 1; harmonic <= 12; harmonic++)
        sum += sin(harmonic * phase) / harmonic;
    return (float)(0.12 * (1 + sin(2 * seconds)) * sum);
}

Bytes sound_file_encode(int format, int rate_hz, double pitch_hz, double seconds)
{
    char *path = temporary();
    SF_INFO info = {.samplerate = rate_hz, .channels = 1, .format = format};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    assert_non_null(file);
    int mode = SF_BITRATE_MODE_VARIABLE;
    sf_command(file, SFC_SET_BITRATE_MODE, &mode, sizeof mode);
    for (int64_t t = 0; t < (int64_t)(seconds * rate_hz); t++) {
        float sample = sound_file_voice(pitch_hz, rate_hz, t);
        assert_int_equal(sf_writef_float(file, &sample, 1), 1);
    }
    sf_close(file);
    return sound_file_take(path);
}

Samples sound_file_decode_cut(const char *path, double start, double end, DecodeNotes *notes)
{
    Error error = {0};
    Samples samples = {0};
    DecodeCut cut = {.start = start, .end = end, .channel = DECODE_ALL_CHANNELS};
    if (audio_decode_cut(path, &cut, &LIMITS, &samples.data, &samples.n, notes, &error) < 0)
        fail_msg("%s", error.text);
    return samples;
}

Samples sound_file_decode(char *path)
{
    Samples samples = sound_file_decode_cut(path, 0, -1, NULL);
    sound_file_discard(path);
    return samples;
}

void sound_file_refused(char *path, const char *reason)
{
    Error error = {0};
    Samples samples;
    if (audio_decode(path, &LIMITS, &samples.data, &samples.n, &error) == 0)
        fail_msg("accepted with %lld samples; expected: %s", (long long)samples.n, reason);
    if (!strstr(error.text, reason))
        fail_msg("\"%s\" does not say \"%s\"", error.text, reason);
    sound_file_discard(path);
}
