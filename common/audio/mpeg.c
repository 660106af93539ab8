#include "audio/mpeg.h"

#include <mpg123.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "base/memory.h"

enum { BUFFER_BYTES = 1 << 16 }; // mpg123 asks for a few bytes at a time

struct Mpeg {
    mpg123_handle *handle;
    const ByteView *view;
    int64_t position; // in the view
    unsigned char *buffer;
    int64_t buffer_at, n_buffer;
    long rate_hz;
    int channels;
};

// ---- the view as mpg123's file -------------------------------------------------------------------------

static ssize_t read_view(void *context, void *bytes, size_t n)
{
    Mpeg *mpeg = context;
    int64_t at = mpeg->position - mpeg->buffer_at;
    if (at < 0 || at >= mpeg->n_buffer) {
        mpeg->buffer_at = mpeg->position;
        mpeg->n_buffer = byte_view_read(mpeg->view, mpeg->position, mpeg->buffer, BUFFER_BYTES);
        at = 0;
    }
    int64_t got = mpeg->n_buffer - at < (int64_t)n ? mpeg->n_buffer - at : (int64_t)n;
    if (got <= 0)
        return 0;
    memcpy(bytes, mpeg->buffer + at, (size_t)got);
    mpeg->position += got;
    return (ssize_t)got;
}

static off_t seek_view(void *context, off_t offset, int whence)
{
    Mpeg *mpeg = context;
    int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? mpeg->position : mpeg->view->n;
    if (base + offset < 0)
        return -1;
    return (off_t)(mpeg->position = base + offset);
}

static Mpeg *open_handle(const ByteView *view, long flags)
{
    Mpeg *mpeg = mem_zero(1, sizeof *mpeg);
    mpeg->view = view;
    mpeg->buffer = mem_alloc(BUFFER_BYTES, 1);
    mpeg->handle = mpg123_new(NULL, NULL);
    // Quiet: what it has to say about damage would go to stderr.
    if (!mpeg->handle || mpg123_param(mpeg->handle, MPG123_ADD_FLAGS, MPG123_QUIET | flags, 0) != MPG123_OK ||
        mpg123_param(mpeg->handle, MPG123_RESYNC_LIMIT, -1, 0) != MPG123_OK ||
        mpg123_replace_reader_handle(mpeg->handle, read_view, seek_view, NULL) != MPG123_OK ||
        mpg123_open_handle(mpeg->handle, mpeg) != MPG123_OK) {
        mpeg_close(mpeg);
        return NULL;
    }
    return mpeg;
}

void mpeg_close(Mpeg *mpeg)
{
    if (!mpeg)
        return;
    if (mpeg->handle)
        mpg123_delete(mpeg->handle);
    mem_free(mpeg->buffer);
    mem_free(mpeg);
}

// ---- samples -------------------------------------------------------------------------------------------

Mpeg *mpeg_open(const ByteView *view, Error *error)
{
    Mpeg *mpeg = open_handle(view, MPG123_FORCE_FLOAT | MPG123_NO_FRANKENSTEIN);
    int encoding;
    if (mpeg && mpg123_getformat(mpeg->handle, &mpeg->rate_hz, &mpeg->channels, &encoding) == MPG123_OK &&
        encoding == MPG123_ENC_FLOAT_32)
        return mpeg;
    mpeg_close(mpeg);
    error_set(error, "unreadable: no MPEG audio in it");
    return NULL;
}

int mpeg_rate_hz(const Mpeg *mpeg)
{
    return (int)mpeg->rate_hz;
}

int mpeg_channels(const Mpeg *mpeg)
{
    return mpeg->channels;
}

int64_t mpeg_count_frames(Mpeg *mpeg)
{
    return mpg123_scan(mpeg->handle) == MPG123_OK ? (int64_t)mpg123_length(mpeg->handle) : -1;
}

int64_t mpeg_read(Mpeg *mpeg, float *frames, int64_t n)
{
    size_t bytes_a_frame = (size_t)mpeg->channels * sizeof(float), wanted = (size_t)n * bytes_a_frame,
           done = 0;
    int status = MPG123_OK;
    while (done < wanted && (status == MPG123_OK || status == MPG123_NEW_FORMAT)) {
        size_t got = 0;
        status = mpg123_read(mpeg->handle, (unsigned char *)frames + done, wanted - done, &got);
        done += got;
        if (status == MPG123_NEW_FORMAT && (done > 0 || mpg123_tell(mpeg->handle) > 0))
            break; // streams of several formats were taken apart before
    }
    return (int64_t)(done / bytes_a_frame);
}

bool mpeg_seek(Mpeg *mpeg, int64_t frame)
{
    return mpg123_seek(mpeg->handle, (off_t)frame, SEEK_SET) == (off_t)frame;
}

// ---- frames --------------------------------------------------------------------------------------------

Mpeg *mpeg_open_frames(const ByteView *view)
{
    return open_handle(view, MPG123_IGNORE_INFOFRAME);
}

static int64_t big_endian(const unsigned char *bytes)
{
    return (int64_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

// Side information comes first in a layer III frame, behind a checksum if there is one; an info frame has
// zeros there, then its name, flags, and where the first flag is set the number of frames. Fraunhofer's has a
// place of its own.
static int64_t info_frames(uint32_t head, const unsigned char *body, size_t n_bytes)
{
    bool mpeg1 = head & 1u << 19, mono = (head >> 6 & 3) == 3, layer3 = (head >> 17 & 3) == 1;
    size_t checksum = head & 1u << 16 ? 0 : 2;
    size_t at = checksum + (mpeg1 ? (mono ? 17 : 32) : (mono ? 9 : 17));
    if (layer3 && n_bytes >= 50 && memcmp(body + 32, "VBRI", 4) == 0)
        return big_endian(body + 46);
    if (!layer3 || n_bytes < at + 12 ||
        (memcmp(body + at, "Xing", 4) != 0 && memcmp(body + at, "Info", 4) != 0))
        return -1;
    for (size_t i = checksum; i < at; i++)
        if (body[i])
            return -1;
    return body[at + 7] & 1 ? big_endian(body + at + 8) : 0;
}

bool mpeg_next_frame(Mpeg *mpeg, MpegFrame *frame)
{
    int status;
    do
        status = mpg123_framebyframe_next(mpeg->handle);
    while (status == MPG123_NEW_FORMAT && mpg123_framepos(mpeg->handle) < 0);
    unsigned long head;
    unsigned char *body;
    size_t n_bytes;
    if ((status != MPG123_OK && status != MPG123_NEW_FORMAT) ||
        mpg123_framedata(mpeg->handle, &head, &body, &n_bytes) != MPG123_OK)
        return false;
    *frame = (MpegFrame){.at = (int64_t)mpg123_framepos(mpeg->handle),
                         .size = 4 + (int64_t)n_bytes,
                         .head = (uint32_t)head,
                         .samples = mpg123_spf(mpeg->handle),
                         .info_frames = info_frames((uint32_t)head, body, n_bytes)};
    return true;
}
