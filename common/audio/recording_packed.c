// FLAC and Ogg: where streams begin, and what their headers promise.
#include <string.h>

#include "audio/recording_parts.h"
#include "base/memory.h"

// ---- FLAC ----------------------------------------------------------------------------------------------

enum {
    STREAMINFO_END = 42,
    TOTAL_AT = 21
}; // the number of samples: 36 bits, from the low half of byte 21 on

// STREAMINFO comes first in every stream: block type 0 of 34 bytes. The last block's type has the top bit
// set.
static int64_t next_flac(const ByteView *file, int64_t from)
{
    static const unsigned char BEGINS[2][8] = {{'f', 'L', 'a', 'C', 0, 0, 0, 34},
                                               {'f', 'L', 'a', 'C', 128, 0, 0, 34}};
    int64_t first = byte_view_find(file, from, BEGINS[0], 8),
            other = byte_view_find(file, from, BEGINS[1], 8);
    return other < 0 || (first >= 0 && first < other) ? first : other;
}

// The decoder would stop after the number of samples that STREAMINFO states, and that may be too small: the
// view hides it.
static void hide_total(AudioStream *stream)
{
    unsigned char head[STREAMINFO_END];
    if (byte_view_read(&stream->view, 0, head, sizeof head) < (int64_t)sizeof head)
        return;
    uint64_t total = get_number(head + TOTAL_AT, 5, true) & 0xfffffffffu;
    stream->stated_frames = total ? (int64_t)total : -1;
    const unsigned char none[5] = {head[TOTAL_AT] & 0xf0};
    byte_view_patch(&stream->view, TOTAL_AT, none, sizeof none);
}

int64_t flac_find(Recording *recording, const ByteView *file, int64_t start, Error *error)
{
    (void)error;
    int64_t next = recording->whole ? next_flac(file, start + 8) : -1, end = next < 0 ? file->n : next;
    ByteView view = byte_view_part(file, start, end - start);
    hide_total(recording_add(recording, &view));
    return end;
}

// ---- Ogg -----------------------------------------------------------------------------------------------

enum { PAGE_HEADER = 27, PAGE_BEGINS_STREAM = 2, OGG_FLAC_PREFIX = 9 };

typedef struct Page {
    int64_t at, body, end;
    bool begins_stream;
    uint32_t serial;
    bool is_flac; // the first page of such a stream
} Page;

// False: no page begins here.
static bool read_page(const ByteView *file, int64_t at, Page *page)
{
    unsigned char head[PAGE_HEADER + 255], first[5] = {0};
    int64_t n = byte_view_read(file, at, head, sizeof head);
    if (n < PAGE_HEADER || memcmp(head, "OggS", 5) != 0 || n < PAGE_HEADER + head[26]) // version 0
        return false;
    *page =
        (Page){.at = at, .body = at + PAGE_HEADER + head[26], .begins_stream = head[5] & PAGE_BEGINS_STREAM};
    page->end = page->body;
    for (int i = 0; i < head[26]; i++)
        page->end += head[PAGE_HEADER + i];
    page->serial = (uint32_t)get_number(head + 14, 4, false);
    byte_view_read(file, page->body, first, sizeof first);
    page->is_flac = page->begins_stream && memcmp(first, "\177FLAC", 5) == 0;
    return true;
}

// libsndfile does not read FLAC in Ogg: the pages' bodies, but for the mapping's own nine bytes in front, are
// a FLAC stream.
static int unpack_flac(Recording *recording, const ByteView *link, uint32_t serial, Error *error)
{
    unsigned char *bytes = mem_try_alloc((size_t)link->n, 1, "the FLAC in an Ogg file", error);
    if (!bytes)
        return -1;
    int64_t n = 0, at = 0;
    for (Page page; read_page(link, at, &page); at = page.end) {
        int64_t skip = n == 0 ? OGG_FLAC_PREFIX : 0;
        if (page.serial == serial)
            n += byte_view_read(link, page.body + skip, bytes + n, page.end - page.body - skip);
    }
    recording->memories = mem_grow(recording->memories, (size_t)recording->n_memories + 1, sizeof(void *));
    recording->memories[recording->n_memories++] = bytes;
    hide_total(recording_add(recording, &(ByteView){.file = link->file, .memory = bytes, .n = n}));
    return 0;
}

// A link of a chain: streams that begin together and run side by side. The next one begins with the first
// page that begins a stream after pages that do not.
int64_t ogg_find(Recording *recording, const ByteView *file, int64_t start, Error *error)
{
    const Page none = {0};
    Page flac = none, page;
    int64_t at = start;
    for (bool begun = false; at < file->n && read_page(file, at, &page); at = page.end) {
        if (page.begins_stream && begun)
            break;
        begun = !page.begins_stream;
        flac = page.is_flac ? page : flac;
        if (page.end > file->n)
            return error_set(error, "cut off: ends %lld bytes before its last page does",
                             (long long)(page.end - file->n));
        if (begun && !recording->whole && !flac.is_flac) {
            at = file->n;
            break;
        }
    }
    // Something else between pages: what follows it is looked for.
    if (at < file->n && !read_page(file, at, &page)) {
        int64_t next = byte_view_find(file, at + 1, "OggS\0\2", 6);
        at = next < 0 ? file->n : next;
    }
    ByteView link = byte_view_part(file, start, at - start);
    if (flac.is_flac)
        return unpack_flac(recording, &link, flac.serial, error) < 0 ? -1 : at;
    recording_add(recording, &link);
    return at;
}
