// Formats with a header that states how many bytes of samples follow: AU, SPHERE, AVR and VOC.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/recording_parts.h"

// A header, then so many bytes of samples and nothing else.
static int64_t find_plain(Recording *recording, const ByteView *file, int64_t start, int64_t header,
                          uint64_t size, const char *magic, Error *error)
{
    int64_t there = file->n - start - header;
    if (check_cut_off(size >> 62 ? INT64_MAX >> 1 : (int64_t)size, there, error) < 0)
        return -1;
    int64_t end = start + header + ((int64_t)size < there ? (int64_t)size : there);
    int more = check_leftover(file, end, end - start - header, magic, (int)strlen(magic), error);
    if (more < 0)
        return -1;
    ByteView view = byte_view_part(file, start, (more ? end : file->n) - start);
    recording_add(recording, &view);
    return more ? end + more - 1 : file->n;
}

int64_t au_find(Recording *recording, const ByteView *file, int64_t start, Error *error)
{
    unsigned char head[12] = {0};
    byte_view_read(file, start, head, sizeof head);
    bool big_endian = head[0] == '.';
    int64_t header = (int64_t)get_number(head + 4, 4, big_endian), there = file->n - start - header;
    uint64_t size = get_number(head + 8, 4, big_endian);
    if (there > 0 && (size == 0 || size_is_placeholder(size, false, there))) {
        ByteView view = byte_view_part(file, start, file->n - start);
        patch_number(&recording_add(recording, &view)->view, 8, (uint64_t)there, 4, big_endian);
        return file->n;
    }
    return find_plain(recording, file, start, header, size, big_endian ? ".snd" : "dns.", error);
}

// The value of `name -i VALUE` in a SPHERE header, 0: not there.
static int64_t sphere_number(const char *head, const char *name)
{
    const char *at = strstr(head, name);
    at = at ? strstr(at, "-i ") : NULL;
    return at ? strtoll(at + 3, NULL, 10) : 0;
}

// NIST's SPHERE: a text of (mostly) 1024 bytes. libsndfile reads on to the end of the file in any case.
int64_t sphere_find(Recording *recording, const ByteView *file, int64_t start, Error *error)
{
    char head[1025] = {0};
    byte_view_read(file, start, head, sizeof head - 1);
    int64_t header = strtoll(head + 8, NULL, 10), n = sphere_number(head, "sample_count"),
            channels = sphere_number(head, "channel_count"), bytes = sphere_number(head, "sample_n_bytes");
    bool sane = header > 0 && header < file->n - start && n > 0 && n < INT64_MAX >> 20 && channels > 0 &&
                channels < 1024 && bytes > 0 && bytes <= 8;
    // Shorten's compression makes the size on disk another one; libsndfile does not read it anyway.
    if (sane && !strstr(head, "shorten"))
        return find_plain(recording, file, start, header, (uint64_t)(n * channels * bytes), "NIST_1A", error);
    ByteView view = byte_view_part(file, start, file->n - start);
    recording_add(recording, &view);
    return file->n;
}

// Audio Visual Research: channels (0: one), bits, ... and the number of frames; 128 bytes.
int64_t avr_find(Recording *recording, const ByteView *file, int64_t start, Error *error)
{
    enum { HEADER = 128 };
    unsigned char head[HEADER] = {0};
    byte_view_read(file, start, head, sizeof head);
    uint64_t channels = get_number(head + 12, 2, true) ? 2 : 1, bits = get_number(head + 14, 2, true),
             n_frames = get_number(head + 26, 4, true);
    if (n_frames > 0)
        return find_plain(recording, file, start, HEADER, n_frames * channels * (bits / 8), "2BIT", error);
    ByteView view = byte_view_part(file, start, file->n - start);
    recording_add(recording, &view);
    return file->n;
}

// Creative Voice: blocks of a kind, a size in 24 bits and so many bytes; kind 0, without a size, is the end.
// SoX counts a few bytes too few, so the last bytes of a file are no block.
int64_t voc_find(Recording *recording, const ByteView *file, int64_t start, Error *error)
{
    const int64_t no_block = 16;
    unsigned char head[4];
    int64_t at = start + 26;
    while (file->n - at > no_block && byte_view_read(file, at, head, 4) == 4 && head[0] != 0) {
        int64_t size = (int64_t)get_number(head + 1, 3, false);
        if (check_cut_off(size, file->n - at - 4, error) < 0)
            return -1;
        at += 4 + size;
    }
    ByteView view = byte_view_part(file, start, file->n - start);
    recording_add(recording, &view);
    if (at < file->n && check_leftover(file, at, at - start, "Creative Voice File", 19, error) < 0)
        return -1;
    return file->n;
}
