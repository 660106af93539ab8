#include "audio/recording.h"

#include <string.h>

#include "audio/recording_parts.h"
#include "base/memory.h"

// Writers miscount padding and trailing chunks by a little.
enum { SLACK_BYTES = 1024, LEFTOVER_BYTES = 4096, LEFTOVER_SHARE = 50, MAX_PADDING = 8 };

AudioStream *recording_add(Recording *recording, const ByteView *view)
{
    if ((recording->n & (recording->n - 1)) == 0)
        recording->streams =
            mem_grow(recording->streams, (size_t)(recording->n ? 2 * recording->n : 1), sizeof(AudioStream));
    AudioStream *stream = &recording->streams[recording->n++];
    *stream = (AudioStream){.view = *view, .stated_frames = -1};
    return stream;
}

// ---- rules for sizes -----------------------------------------------------------------------------------

bool size_is_placeholder(uint64_t size, bool is_64_bit, int64_t n_there)
{
    if (size <= (uint64_t)n_there)
        return false;
    if (is_64_bit)
        return size >> 62 != 0 || size == UINT32_MAX;
    // 2^31 or 2^32, less a header or a round number: SoX's 0x7f000000 is the smallest.
    return (size >= 0x7f000000u && size <= 0x80001000u) || size >= 0xffff0000u;
}

int check_cut_off(int64_t n_promised, int64_t n_there, Error *error)
{
    if (n_promised <= n_there + SLACK_BYTES)
        return 0;
    return error_set(error, "cut off: has %lld of the %lld bytes of samples that its header promises",
                     (long long)n_there, (long long)n_promised);
}

static bool is_padding_or_tag(const unsigned char *head, int64_t n)
{
    static const char *const TAGS[] = {"ID3", "TAG", "APETAGEX", "LYRICSBEGIN", "<?xpacket"};
    for (size_t i = 0; i < sizeof TAGS / sizeof *TAGS; i++)
        if (n >= (int64_t)strlen(TAGS[i]) && memcmp(head, TAGS[i], strlen(TAGS[i])) == 0)
            return true;
    for (int64_t i = 0; i < n; i++)
        if (head[i])
            return false;
    return true;
}

int check_leftover(const ByteView *file, int64_t at, int64_t n_audio, const void *magic, int n_magic,
                   Error *error)
{
    unsigned char head[512];
    int64_t left = file->n - at, n = byte_view_read(file, at, head, sizeof head);
    for (int k = 0; k < MAX_PADDING && n >= k + n_magic; k++)
        if (memcmp(head + k, magic, (size_t)n_magic) == 0)
            return 1 + k;
    if (left <= LEFTOVER_BYTES || left <= n_audio / LEFTOVER_SHARE || is_padding_or_tag(head, n))
        return 0;
    return error_set(error,
                     "damaged: %lld bytes lie behind the %lld bytes of samples that its header promises",
                     (long long)left, (long long)n_audio);
}

// ---- which format --------------------------------------------------------------------------------------

int64_t tag_size(const ByteView *file, int64_t at)
{
    unsigned char head[10];
    if (byte_view_read(file, at, head, sizeof head) < (int64_t)sizeof head || memcmp(head, "ID3", 3) != 0 ||
        ((head[6] | head[7] | head[8] | head[9]) & 0x80))
        return 0;
    int64_t size = (int64_t)head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9];
    return 10 + size + (head[5] & 0x10 ? 10 : 0); // the flag is that of a footer
}

static StreamFinder finder_of(const unsigned char head[12])
{
    static const struct {
        const char *magic;
        StreamFinder find;
    } FORMATS[] = {{"RIFF", chunks_find}, {"RIFX", chunks_find},      {"RF64", chunks_find},
                   {"riff", chunks_find}, {"FORM", chunks_find},      {"caff", chunks_find},
                   {".snd", au_find},     {"dns.", au_find},          {"NIST_1A\n", sphere_find},
                   {"2BIT", avr_find},    {"Creative Voi", voc_find}, {"fLaC", flac_find},
                   {"OggS", ogg_find}};
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++)
        if (memcmp(head, FORMATS[i].magic, strlen(FORMATS[i].magic)) == 0)
            return FORMATS[i].find;
    return mpeg_is_header(head) ? mpeg_find : NULL;
}

static int find_streams(Recording *recording, Error *error)
{
    ByteView file = {.file = &recording->file, .n = recording->file.n};
    int64_t at = 0;
    for (int64_t tag; (tag = tag_size(&file, at)) > 0 && at + tag < file.n;)
        at += tag;
    unsigned char head[12] = {0};
    byte_view_read(&file, at, head, sizeof head);
    StreamFinder find = finder_of(head);
    if (!find && mpeg_is_near(&file, at))
        find = mpeg_find;
    if (!find) {
        recording_add(recording, &file);
        return 0;
    }
    do
        at = find(recording, &file, at, error);
    while (at >= 0 && at < file.n && recording->whole);
    return at < 0 ? -1 : 0;
}

int recording_open(const char *path, bool whole, Recording *recording, Error *error)
{
    *recording = (Recording){.whole = whole};
    if (byte_file_open(path, &recording->file, error) < 0)
        return -1;
    int status = recording->file.n == 0 ? error_set(error, "empty: a file of no bytes")
                                        : find_streams(recording, error);
    if (recording_check_reading(recording, error) < 0)
        status = -1;
    if (status < 0)
        recording_close(recording);
    return status;
}

int recording_check_reading(const Recording *recording, Error *error)
{
    if (recording->file.failed == 0)
        return 0;
    error_clear(error); // "cut off" and the like are its consequences
    return error_set(error, "unreadable: %s", strerror(recording->file.failed));
}

void recording_close(Recording *recording)
{
    byte_file_close(&recording->file);
    for (int i = 0; i < recording->n_memories; i++)
        mem_free(recording->memories[i]);
    mem_free(recording->memories);
    mem_free(recording->streams);
    *recording = (Recording){0};
}
