// MPEG audio (mp3, mp2) through libmpg123, which libsndfile uses, too, but with the length that the first
// frame suggests: a variable bit rate without an info frame is cut there.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "audio/byte_view.h"
#include "base/error.h"

typedef struct Mpeg Mpeg;

Mpeg *mpeg_open(const ByteView *view, Error *error); // NULL: no frame in it; the view must outlive it
void mpeg_close(Mpeg *mpeg);                         // NULL is fine
int mpeg_rate_hz(const Mpeg *mpeg);
int mpeg_channels(const Mpeg *mpeg);
int64_t mpeg_count_frames(Mpeg *mpeg); // samples per channel; reads through the stream; -1: unknown
// Up to n frames [n, channels]; how many came, 0 at the end.
int64_t mpeg_read(Mpeg *mpeg, float *frames, int64_t n);
bool mpeg_seek(Mpeg *mpeg, int64_t frame);

// One step through the stream's frames, undecoded.
typedef struct MpegFrame {
    int64_t at, size; // bytes, in the view
    uint32_t head;
    int samples;         // per channel
    int64_t info_frames; // an info frame ("Xing"): the number of frames that it states, 0 for none; -1: audio
} MpegFrame;

// For stepping only: nothing of the stream has been read yet. NULL: no memory.
Mpeg *mpeg_open_frames(const ByteView *view);
bool mpeg_next_frame(Mpeg *mpeg, MpegFrame *frame); // false at the end
