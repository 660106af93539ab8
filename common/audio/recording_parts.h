// What the files behind recording.h share. A finder looks at the bytes of a view from `start` on, adds
// streams and returns where the next one begins, the view's end where nothing is left, or -1 with the reason.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "audio/recording.h"

typedef int64_t (*StreamFinder)(Recording *recording, const ByteView *file, int64_t start, Error *error);

// RIFF, RF64, Wave64, AIFF and CAF; then SPHERE, AU, AVR and VOC: one stream each.
int64_t chunks_find(Recording *recording, const ByteView *file, int64_t start, Error *error);
int64_t sphere_find(Recording *recording, const ByteView *file, int64_t start, Error *error);
int64_t au_find(Recording *recording, const ByteView *file, int64_t start, Error *error);
int64_t avr_find(Recording *recording, const ByteView *file, int64_t start, Error *error);
int64_t voc_find(Recording *recording, const ByteView *file, int64_t start, Error *error);
int64_t flac_find(Recording *recording, const ByteView *file, int64_t start, Error *error);
int64_t ogg_find(Recording *recording, const ByteView *file, int64_t start, Error *error);
// All streams in one go: where one ends shows only by reading.
int64_t mpeg_find(Recording *recording, const ByteView *file, int64_t start, Error *error);

// Whether an MPEG audio frame's header stands in these four bytes.
bool mpeg_is_header(const unsigned char head[4]);
bool mpeg_is_near(const ByteView *file, int64_t at); // a few of them begin near this place
// Bytes of an ID3v2 tag at this place, 0: there is none.
int64_t tag_size(const ByteView *file, int64_t at);

AudioStream *recording_add(Recording *recording, const ByteView *view);

// A stated size that stands for "unknown": see recording.h. n_there: bytes from the place on that it counts
// from.
bool size_is_placeholder(uint64_t size, bool is_64_bit, int64_t n_there);
// `n_there` of the bytes that a header promised are there.
int check_cut_off(int64_t n_promised, int64_t n_there, Error *error);
// What stands between the stated end of a stream of n_audio bytes and the end of the file: 0 where it may be
// left; 1 + k where another stream with this magic begins k bytes on, behind padding; -1 with the reason.
int check_leftover(const ByteView *file, int64_t at, int64_t n_audio, const void *magic, int n_magic,
                   Error *error);

static inline uint64_t get_number(const unsigned char *bytes, int n, bool big_endian)
{
    uint64_t value = 0;
    for (int i = 0; i < n; i++)
        value = value << 8 | bytes[big_endian ? i : n - 1 - i];
    return value;
}

// The view shows `value` at this place; one that does not fit is shown as all ones.
static inline void patch_number(ByteView *view, int64_t offset, uint64_t value, int n, bool big_endian)
{
    unsigned char bytes[8];
    if (n < 8 && value >> (8 * n))
        value = UINT64_MAX;
    for (int i = 0; i < n; i++)
        bytes[big_endian ? n - 1 - i : i] = (unsigned char)(value >> (8 * i));
    byte_view_patch(view, offset, bytes, n);
}
