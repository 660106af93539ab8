// Files of several streams are read to the end, and stretches of them cut where they should be.
#include <math.h>
#include <setjmp.h>
#include <sndfile.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audio/decode.h"
#include "audio/mpeg.h"
#include "base/memory.h"
#include "base/rng.h"
#include "sound_files.h"

enum { RATE_HZ = SOUND_FILE_HZ };

// ---- joined files --------------------------------------------------------------------------------------

static const int FORMATS[] = {SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, SF_FORMAT_OGG | SF_FORMAT_OPUS,
                              SF_FORMAT_OGG | SF_FORMAT_VORBIS,          SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
                              SF_FORMAT_WAV | SF_FORMAT_PCM_16,          SF_FORMAT_AIFF | SF_FORMAT_PCM_16,
                              SF_FORMAT_W64 | SF_FORMAT_PCM_16,          SF_FORMAT_CAF | SF_FORMAT_PCM_16,
                              SF_FORMAT_AU | SF_FORMAT_PCM_16,           SF_FORMAT_WAV | SF_FORMAT_FLOAT,
                              SF_FORMAT_RF64 | SF_FORMAT_PCM_16,         SF_FORMAT_CAF | SF_FORMAT_ALAC_16};
enum { N_FORMATS = sizeof FORMATS / sizeof *FORMATS };

// Decoded, the joined file is the one and then the other, whatever their rates.
static void check_joined(const Bytes *first, const Bytes *second)
{
    Samples a = sound_file_decode(sound_file_write(first->data, first->n, NULL, 0)),
            b = sound_file_decode(sound_file_write(second->data, second->n, NULL, 0));
    char *path = sound_file_write(first->data, first->n, second->data, second->n);
    DecodeNotes notes;
    Samples both = sound_file_decode_cut(path, 0, -1, &notes);
    sound_file_discard(path);
    assert_int_equal(notes.n_streams, 2);
    assert_int_equal(both.n, a.n + b.n);
    assert_memory_equal(both.data, a.data, (size_t)a.n * sizeof(int16_t));
    assert_memory_equal(both.data + a.n, b.data, (size_t)b.n * sizeof(int16_t));
    mem_free(a.data);
    mem_free(b.data);
    mem_free(both.data);
}

static void test_joined_files_are_read_to_the_end(void **state)
{
    (void)state;
    for (int f = 0; f < N_FORMATS; f++) {
        bool is_ogg = (FORMATS[f] & SF_FORMAT_TYPEMASK) == SF_FORMAT_OGG;
        Bytes a = sound_file_encode(FORMATS[f], 16000, 120, 1.5),
              b = sound_file_encode(FORMATS[f], 16000, 190, 1),
              c = sound_file_encode(FORMATS[f], 48000, 150, 1),
              other = sound_file_encode(FORMATS[is_ogg ? 3 - f : f], 16000, 100, 1);
        check_joined(&a, &b);
        check_joined(&a, &c);
        check_joined(&c, &a);
        check_joined(&b, &other);
        mem_free(a.data);
        mem_free(b.data);
        mem_free(c.data);
        mem_free(other.data);
    }
}

// libsndfile reads no FLAC in Ogg; this file is two of 0.75 s at 8 kHz, by the reference encoder.
static void test_chained_flac_in_ogg(void **state)
{
    (void)state;
    DecodeNotes notes;
    Samples samples = sound_file_decode_cut(VOXLOOP_SOURCE_DIR "/tests/audio/two-flac.oga", 0, -1, &notes);
    assert_int_equal(notes.n_streams, 2);
    assert_int_equal(samples.n, 24000);
    const double tones_hz[2] = {200, 330};
    for (int part = 0; part < 2; part++) {
        double worst = 0;
        for (int64_t t = 200; t < 11800; t++) {
            double seconds = (double)t / RATE_HZ;
            double expected = 6000 * sin(2 * M_PI * tones_hz[part] * seconds) * (1 + sin(5 * seconds));
            worst = fmax(worst, fabs(samples.data[part * 12000 + t] - expected));
        }
        assert_true(worst < 10);
    }
    mem_free(samples.data);
}

// The frames behind an encoder's info frame, as recorders and stream rippers leave them.
static Bytes without_info_frame(const Bytes *mp3)
{
    char *path = sound_file_write(mp3->data, mp3->n, NULL, 0);
    ByteFile file;
    assert_int_equal(byte_file_open(path, &file, NULL), 0);
    ByteView view = {.file = &file, .n = file.n};
    Mpeg *mpeg = mpeg_open_frames(&view);
    MpegFrame frame;
    assert_true(mpeg_next_frame(mpeg, &frame) && frame.info_frames > 0);
    assert_true(mpeg_next_frame(mpeg, &frame) && frame.info_frames < 0);
    mpeg_close(mpeg);
    byte_file_close(&file);
    sound_file_discard(path);
    Bytes rest = {mem_alloc(mp3->n, 1), mp3->n - (size_t)frame.at};
    memcpy(rest.data, mp3->data + frame.at, rest.n);
    return rest;
}

// The length that the first frame suggests is wrong by far, both ways.
static void test_variable_rate_without_info_frame(void **state)
{
    (void)state;
    const int format = SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III;
    const int64_t frame = 576;
    for (int soft_first = 0; soft_first < 2; soft_first++) {
        Bytes whole = sound_file_encode(format, 16000, soft_first ? 3 : 1200, 4),
              bare = without_info_frame(&whole);
        Samples wanted = sound_file_decode(sound_file_write(whole.data, whole.n, NULL, 0)),
                samples = sound_file_decode(sound_file_write(bare.data, bare.n, NULL, 0));
        // Without an info frame nobody knows of the encoder's delay and padding.
        assert_in_range(samples.n, wanted.n, wanted.n + 4 * frame);
        // Behind a file with an info frame, which says where that one ends.
        Samples both = sound_file_decode(sound_file_write(whole.data, whole.n, bare.data, bare.n));
        assert_int_equal(both.n, wanted.n + samples.n);
        mem_free(both.data);
        mem_free(samples.data);
        mem_free(wanted.data);
        mem_free(bare.data);
        mem_free(whole.data);
    }
}

// Bytes [from, to) of the file, then n of garbage, the rest from `on` on.
static char *write_with_garbage(const Bytes *file, size_t to, size_t n, size_t on)
{
    Bytes all = {mem_alloc(file->n + n, 1), to + n + (file->n - on)};
    Rng rng = rng_stream(5, "garbage", to, n);
    memcpy(all.data, file->data, to);
    for (size_t i = 0; i < n; i++)
        all.data[to + i] = (char)rng_next(&rng);
    memcpy(all.data + to + n, file->data + on, file->n - on);
    char *path = sound_file_write(all.data, all.n, NULL, 0);
    mem_free(all.data);
    return path;
}

// Garbage in front of, between and behind the frames, with what looks like frames in it; a stream that was
// cut out of another begins inside a frame.
static void test_mp3_in_garbage(void **state)
{
    (void)state;
    const int64_t frame = 576;
    Bytes whole = sound_file_encode(FORMATS[0], 16000, 120, 6), bare = without_info_frame(&whole);
    Samples wanted = sound_file_decode(sound_file_write(bare.data, bare.n, NULL, 0));
    for (size_t n = 1000; n <= 100000; n *= 10) {
        Samples in_front = sound_file_decode(write_with_garbage(&bare, 0, n, 0)),
                between = sound_file_decode(write_with_garbage(&bare, bare.n / 2, n, bare.n / 2)),
                behind = sound_file_decode(write_with_garbage(&bare, bare.n, n, bare.n));
        assert_in_range(in_front.n, wanted.n - frame, wanted.n + frame);
        assert_in_range(between.n, wanted.n - 4 * frame, wanted.n + frame);
        assert_in_range(behind.n, wanted.n - frame, wanted.n + frame);
        const Samples *all[3] = {&in_front, &between, &behind};
        for (int k = 0; k < 3; k++) { // the end is the end of the voice, the beginning its beginning
            int64_t shift = k == 2 ? 0 : all[k]->n - wanted.n, from = k == 2 ? 0 : wanted.n - 16000;
            for (int64_t t = from; t < from + 15000; t++)
                assert_in_range(all[k]->data[t + shift] - wanted.data[t] + 2, 0, 4);
            mem_free(all[k]->data);
        }
    }
    Samples inside = sound_file_decode(sound_file_write(bare.data + 1000, bare.n - 1000, NULL, 0));
    assert_true(inside.n > wanted.n * 9 / 10);
    mem_free(inside.data);
    mem_free(wanted.data);
    mem_free(bare.data);
    mem_free(whole.data);
}

static void test_cut_mp3_and_ogg(void **state)
{
    (void)state;
    for (int f = 0; f < 3; f++) {
        Bytes bytes = sound_file_encode(FORMATS[f], 16000, 120, 4);
        sound_file_refused(sound_file_write(bytes.data, bytes.n * 2 / 5, NULL, 0), "cut off: ");
        // A tag in front, and one behind.
        char tag[10 + 300] = "ID3\3\0\0\0\0\2\54", end[128] = "TAG"; // 300 bytes, seven bits a byte
        if (f == 0) {
            Samples wanted = sound_file_decode(sound_file_write(bytes.data, bytes.n, NULL, 0)),
                    front = sound_file_decode(sound_file_write(tag, sizeof tag, bytes.data, bytes.n)),
                    back = sound_file_decode(sound_file_write(bytes.data, bytes.n, end, sizeof end));
            assert_int_equal(front.n, wanted.n);
            assert_int_equal(back.n, wanted.n);
            mem_free(wanted.data);
            mem_free(front.data);
            mem_free(back.data);
        }
        mem_free(bytes.data);
    }
}

// ---- stretches -----------------------------------------------------------------------------------------

// A stretch is what lies there in the whole. Opus and MPEG converge from another start; a decoder's rounding.
static void check_stretch(const char *path, const Samples *whole, double start, double end, int tolerance)
{
    Samples samples = sound_file_decode_cut(path, start, end, NULL);
    int64_t first = llround(start * RATE_HZ), n = (end < 0 ? whole->n : llround(end * RATE_HZ)) - first;
    assert_int_equal(samples.n, n);
    for (int64_t t = 0; t < n; t++)
        if (abs(samples.data[t] - whole->data[first + t]) > tolerance)
            fail_msg("%g s to %g s: sample %lld is %d, not %d", start, end, (long long)t, samples.data[t],
                     whole->data[first + t]);
    mem_free(samples.data);
}

static void test_stretches_begin_and_end_where_they_should(void **state)
{
    (void)state;
    for (int f = 0; f < N_FORMATS; f++) {
        Bytes a = sound_file_encode(FORMATS[f], RATE_HZ, 120, 4),
              b = sound_file_encode(FORMATS[f], RATE_HZ, 170, 3);
        Bytes bare = f == 0 ? without_info_frame(&a) : (Bytes){0};
        char *paths[3] = {sound_file_write(a.data, a.n, NULL, 0), sound_file_write(a.data, a.n, b.data, b.n),
                          f == 0 ? sound_file_write(bare.data, bare.n, NULL, 0) : NULL};
        for (int p = 0; p < 3 && paths[p]; p++) {
            Samples whole = sound_file_decode_cut(paths[p], 0, -1, NULL);
            int tolerance = f == 1 ? 4 : f == 0 ? 1 : 0;
            check_stretch(paths[p], &whole, 0, 0.8, tolerance);
            check_stretch(paths[p], &whole, 0.30005, 2.1, tolerance);
            check_stretch(paths[p], &whole, 2.7, 3.6001, tolerance);
            check_stretch(paths[p], &whole, 3.1, -1, tolerance);
            if (p == 1) {
                check_stretch(paths[p], &whole, 3.5, 4.5, tolerance);
                check_stretch(paths[p], &whole, 4, 5, tolerance);
                check_stretch(paths[p], &whole, 5.5, 6.9, tolerance);
            }
            mem_free(whole.data);
            sound_file_discard(paths[p]);
        }
        mem_free(bare.data);
        mem_free(a.data);
        mem_free(b.data);
    }
}

static void test_stretches_behind_the_end(void **state)
{
    (void)state;
    Bytes a = sound_file_encode(FORMATS[0], RATE_HZ, 120, 2);
    char *paths[2] = {sound_file_write(a.data, a.n, NULL, 0), sound_file_write(a.data, a.n, a.data, a.n)};
    for (int p = 0; p < 2; p++) {
        const DecodeCut cuts[2] = {{1, 2 * (p + 1) + 0.6, -1, false}, {2 * (p + 1) + 0.1, -1, -1, false}};
        for (int c = 0; c < 2; c++) {
            Error error = {0};
            Samples samples;
            assert_int_equal(audio_decode_cut(paths[p], &cuts[c], &(DecodeLimits){0}, &samples.data,
                                              &samples.n, NULL, &error),
                             -1);
            assert_non_null(strstr(error.text, c ? "behind the end" : "ends 0.60 s behind"));
        }
        sound_file_discard(paths[p]);
    }
    mem_free(a.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joined_files_are_read_to_the_end),
        cmocka_unit_test(test_chained_flac_in_ogg),
        cmocka_unit_test(test_variable_rate_without_info_frame),
        cmocka_unit_test(test_mp3_in_garbage),
        cmocka_unit_test(test_cut_mp3_and_ogg),
        cmocka_unit_test(test_stretches_begin_and_end_where_they_should),
        cmocka_unit_test(test_stretches_behind_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
