// Headers whose sizes are unwritten, too large or too small: the whole recording, or the reason why not.
#include <math.h>
#include <setjmp.h>
#include <sndfile.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audio/decode.h"
#include "base/memory.h"
#include "sound_files.h"

enum { RATE_HZ = SOUND_FILE_HZ, N = 2 * RATE_HZ, HEADER_MAX = 256 };

// A file by hand: its header, then N samples of 16 bits.
typedef struct Header {
    unsigned char bytes[HEADER_MAX];
    int n;
    bool big_endian; // also of the samples
} Header;

static void put(Header *header, uint64_t value, int n)
{
    for (int i = 0; i < n; i++)
        header->bytes[header->n + (header->big_endian ? n - 1 - i : i)] = (unsigned char)(value >> (8 * i));
    header->n += n;
}

static void put_text(Header *header, const char *text)
{
    memcpy(header->bytes + header->n, text, strlen(text));
    header->n += (int)strlen(text);
}

static void put_format(Header *header)
{
    put(header, 1, 2);
    put(header, 1, 2);
    put(header, RATE_HZ, 4);
    put(header, 2 * RATE_HZ, 4);
    put(header, 2, 2);
    put(header, 16, 2);
}

// whole and samples: what the two sizes say, where those of a sound file are {right whole, right samples}.
static Header wav_header(uint64_t whole, uint64_t samples)
{
    Header h = {0};
    put_text(&h, "RIFF");
    put(&h, whole, 4);
    put_text(&h, "WAVEfmt ");
    put(&h, 16, 4);
    put_format(&h);
    put_text(&h, "LIST"); // as ffmpeg writes it
    put(&h, 4, 4);
    put_text(&h, "INFOdata");
    put(&h, samples, 4);
    return h;
}

static Header rf64_header(uint64_t whole, uint64_t samples)
{
    Header h = {0};
    put_text(&h, "RF64");
    put(&h, UINT32_MAX, 4);
    put_text(&h, "WAVEds64");
    put(&h, 28, 4);
    put(&h, whole, 8);
    put(&h, samples, 8);
    put(&h, samples / 2, 8);
    put(&h, 0, 4);
    put_text(&h, "fmt ");
    put(&h, 16, 4);
    put_format(&h);
    put_text(&h, "data");
    put(&h, UINT32_MAX, 4);
    return h;
}

static void put_guid(Header *h, const char *name)
{
    static const unsigned char RIFF_END[12] = {0x2e, 0x91, 0xcf, 0x11, 0xa5, 0xd6, 0x28, 0xdb, 4, 0xc1, 0, 0},
                               CHUNK_END[12] = {0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1,
                                                0,    0xc0, 0x4f, 0x8e, 0xdb, 0x8a};
    put_text(h, name);
    memcpy(h->bytes + h->n, strcmp(name, "riff") == 0 ? RIFF_END : CHUNK_END, 12);
    h->n += 12;
}

static Header w64_header(uint64_t whole, uint64_t samples)
{
    Header h = {0};
    put_guid(&h, "riff");
    put(&h, whole, 8);
    put_guid(&h, "wave");
    put_guid(&h, "fmt ");
    put(&h, 40, 8);
    put_format(&h);
    put_guid(&h, "data");
    put(&h, samples, 8);
    return h;
}

static Header aiff_header(uint64_t whole, uint64_t samples)
{
    Header h = {.big_endian = true};
    put_text(&h, "FORM");
    put(&h, whole, 4);
    put_text(&h, "AIFFCOMM");
    put(&h, 18, 4);
    put(&h, 1, 2);
    put(&h, samples > 8 ? (samples - 8) / 2 : 0, 4);
    put(&h, 16, 2);
    put(&h, 16383 + 13, 2); // an 80-bit float of 16000
    put(&h, (uint64_t)RATE_HZ << 50, 8);
    put_text(&h, "SSND");
    put(&h, samples, 4);
    put(&h, 0, 8);
    return h;
}

static Header caf_header(uint64_t whole, uint64_t samples)
{
    (void)whole;
    Header h = {.big_endian = true};
    double rate = RATE_HZ;
    uint64_t bits;
    memcpy(&bits, &rate, sizeof bits);
    put_text(&h, "caff");
    put(&h, 0x10000, 4);
    put_text(&h, "desc");
    put(&h, 32, 8);
    put(&h, bits, 8);
    put_text(&h, "lpcm");
    put(&h, 0, 4);
    put(&h, 2, 4);
    put(&h, 1, 4);
    put(&h, 1, 4);
    put(&h, 16, 4);
    put_text(&h, "data");
    put(&h, samples, 8);
    put(&h, 0, 4);
    return h;
}

static Header au_header(uint64_t whole, uint64_t samples)
{
    (void)whole;
    Header h = {.big_endian = true};
    put_text(&h, ".snd");
    put(&h, 24, 4);
    put(&h, samples, 4);
    put(&h, 3, 4);
    put(&h, RATE_HZ, 4);
    put(&h, 1, 4);
    return h;
}

static Header sphere_header(uint64_t whole, uint64_t samples)
{
    (void)whole;
    Header h = {0};
    h.n = snprintf((char *)h.bytes, sizeof h.bytes,
                   "NIST_1A\n   1024\nsample_count -i %llu\nsample_n_bytes -i 2\nchannel_count -i 1\n"
                   "sample_byte_format -s2 01\nsample_rate -i %d\nsample_coding -s3 pcm\nend_head\n",
                   (unsigned long long)samples / 2, RATE_HZ);
    return h;
}

static Header avr_header(uint64_t whole, uint64_t samples)
{
    (void)whole;
    Header h = {.big_endian = true};
    put_text(&h, "2BITvoice");
    put(&h, 0, 3);
    put(&h, 0, 2);
    put(&h, 16, 2);
    put(&h, 0xffff, 2); // signed
    put(&h, 0, 2);
    put(&h, 0xffff, 2);
    put(&h, RATE_HZ, 4);
    put(&h, samples / 2, 4);
    put(&h, 0, 8);
    h.n = 128;
    return h;
}

typedef Header (*HeaderWriter)(uint64_t whole, uint64_t samples);

static char *write_samples(const Header *header, int n_samples)
{
    int at = memcmp(header->bytes, "NIST", 4) == 0 ? 1024 : header->n;
    unsigned char *bytes = mem_zero((size_t)at + 2 * (size_t)n_samples, 1);
    memcpy(bytes, header->bytes, (size_t)header->n);
    for (int t = 0; t < n_samples; t++) {
        int sample = (int)lrintf(20000 * sound_file_voice(120, RATE_HZ, t));
        bytes[at + 2 * t + header->big_endian] = (unsigned char)sample;
        bytes[at + 2 * t + !header->big_endian] = (unsigned char)(sample >> 8);
    }
    char *path = sound_file_write(bytes, (size_t)at + 2 * (size_t)n_samples, NULL, 0);
    mem_free(bytes);
    return path;
}

static void assert_voice(char *path, const char *what)
{
    Samples samples = sound_file_decode(path);
    if (samples.n != N)
        fail_msg("%s: %lld samples", what, (long long)samples.n);
    for (int t = 0; t < N; t++)
        if (samples.data[t] != (int16_t)lrintf(20000 * sound_file_voice(120, RATE_HZ, t)))
            fail_msg("%s: sample %d is %d", what, t, samples.data[t]);
    mem_free(samples.data);
}

static const struct {
    const char *name;
    HeaderWriter header;
    int extra;        // what the samples' size counts beside them
    bool is_64;       // sizes of 64 bits
    bool may_be_zero; // "not written" is also 0
} SIZED[] = {{"WAV", wav_header, 0, false, true},       {"RF64", rf64_header, 0, true, true},
             {"W64", w64_header, 24, true, true},       {"AIFF", aiff_header, 8, false, true},
             {"CAF", caf_header, 4, true, true},        {"AU", au_header, 0, false, true},
             {"SPHERE", sphere_header, 0, false, true}, {"AVR", avr_header, 0, false, true}};
enum { N_SIZED = sizeof SIZED / sizeof *SIZED };

static char *sized(int f, uint64_t whole, uint64_t samples, int n_there)
{
    Header header = SIZED[f].header(whole, samples);
    return write_samples(&header, n_there);
}

static void test_sizes_that_were_never_written(void **state)
{
    (void)state;
    // Both ffmpeg and SoX, espeak-ng, arecord, killed recorders, GStreamer.
    const uint64_t unwritten[] = {0, UINT32_MAX, 0x7fffffff, 0x7ffff000, 0x7f000008, 0x80000000, 0xfffffffe},
                   unwritten_64[] = {0, UINT64_MAX, INT64_MAX, 0x7ffffffffffff000};
    for (int f = 0; f < N_SIZED; f++) {
        const uint64_t *sizes = SIZED[f].is_64 ? unwritten_64 : unwritten;
        size_t n = SIZED[f].is_64 ? sizeof unwritten_64 / sizeof *sizes : sizeof unwritten / sizeof *sizes;
        if (SIZED[f].header == sphere_header || SIZED[f].header == avr_header)
            n = 1; // nobody leaves a placeholder there
        uint64_t right = 2 * N + (uint64_t)SIZED[f].extra;
        assert_voice(sized(f, 2 * N + 100, right, N), SIZED[f].name);
        for (size_t i = 0; i < n; i++) {
            char *what = mem_printf("%s with size %llx", SIZED[f].name, (unsigned long long)sizes[i]);
            for (size_t w = 0; w < n; w++)
                assert_voice(sized(f, sizes[w], sizes[i], N), what);
            assert_voice(sized(f, sizes[i], right, N), what);
            assert_voice(sized(f, 2 * N + 100, sizes[i], N), what);
            mem_free(what);
        }
        // Only what comes before the samples was counted.
        if (SIZED[f].extra)
            assert_voice(sized(f, 0, (uint64_t)SIZED[f].extra, N), SIZED[f].name);
    }
}

static void test_sizes_that_are_not_kept(void **state)
{
    (void)state;
    for (int f = 0; f < N_SIZED; f++) {
        uint64_t extra = (uint64_t)SIZED[f].extra, right = 2 * N + extra;
        sound_file_refused(sized(f, 2 * N + 100, right, N / 2), "cut off: has ");
        sound_file_refused(sized(f, 0, right, N / 2), "cut off: has ");
        sound_file_refused(sized(f, N + 100, right, N / 2), "cut off: has "); // the whole's was mended
        sound_file_refused(sized(f, 2 * N + 100, N + extra, N), "damaged: ");
        sound_file_refused(sized(f, N + 100, N + extra, N), "damaged: ");
        // A little is padding or miscounted.
        char *path = sized(f, 2 * N + 100, right - 100, N);
        mem_free(sound_file_decode(path).data);
        path = sized(f, 2 * N + 100, right + 100, N);
        mem_free(sound_file_decode(path).data);
    }
}

static void test_blocks_of_a_voice_file(void **state)
{
    (void)state;
    Bytes voc = sound_file_encode(SF_FORMAT_VOC | SF_FORMAT_PCM_16, RATE_HZ, 120, 2);
    Samples whole = sound_file_decode(sound_file_write(voc.data, voc.n, NULL, 0));
    assert_int_equal(whole.n, N);
    sound_file_refused(sound_file_write(voc.data, voc.n / 2, NULL, 0), "cut off: has ");
    mem_free(whole.data);
    mem_free(voc.data);
}

// Chunks, tags and zeros behind the samples are none.
static void test_what_may_lie_behind(void **state)
{
    (void)state;
    enum { TAIL = 30000 };
    const char *const begins[] = {
        "LIST\x28\x75\0\0INFO", "id3 \x28\x75\0\0", "ID3\4\0\0\0\0\x7f\x7f", "APETAGEX", "TAG", "\0\0\0\0"};
    const size_t lengths[] = {12, 8, 10, 8, 3, 4};
    Header header = wav_header(36 + 2 * N, 2 * N);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        char tail[TAIL] = {0};
        memcpy(tail, begins[i], lengths[i]);
        Bytes file = sound_file_take(write_samples(&header, N));
        assert_voice(sound_file_write(file.data, file.n, tail, sizeof tail), begins[i]);
        mem_free(file.data);
    }
}

// STREAMINFO's number of samples: 36 bits, from the low half of byte 21 on.
static void test_flac_whose_header_lies(void **state)
{
    (void)state;
    Bytes flac = sound_file_encode(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, RATE_HZ, 120, 2);
    Samples wanted = sound_file_decode(sound_file_write(flac.data, flac.n, NULL, 0));
    const int totals[] = {0, 1, N / 2, N - 1};
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        for (int k = 0; k < 4; k++)
            flac.data[25 - k] = (char)(totals[i] >> (8 * k));
        Samples samples = sound_file_decode(sound_file_write(flac.data, flac.n, NULL, 0));
        assert_int_equal(samples.n, N);
        assert_memory_equal(samples.data, wanted.data, N * sizeof(int16_t));
        mem_free(samples.data);
    }
    flac.data[21] |= 0x0f;
    sound_file_refused(sound_file_write(flac.data, flac.n, NULL, 0), "cut off: holds 2.0 s of the ");
    mem_free(wanted.data);
    mem_free(flac.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_that_were_never_written), cmocka_unit_test(test_sizes_that_are_not_kept),
        cmocka_unit_test(test_blocks_of_a_voice_file),        cmocka_unit_test(test_what_may_lie_behind),
        cmocka_unit_test(test_flac_whose_header_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
