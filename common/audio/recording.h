// The streams in a recording's file: one, or several where files were joined end to end (`cat a.mp3 b.mp3`,
// chained Ogg), which decoders take for one and stop behind the first.
//
// What sizes in headers mean, for every format that states one:
// - Never written (0 with samples behind it, all ones, a placeholder that reaches far behind the end, as
//   pipes and killed recorders leave them): up to the end of the file.
// - Written, and the file is shorter: cut off; refused.
// - Written, and the file is longer: what follows is another recording of the same kind, and is read; or
//   tags, padding, or a little that nobody stated, and is left; else the size is wrong; refused.
// Ogg states the size of its pages: a file that ends inside of one is cut off. An MPEG stream states a length
// only where it has an info frame ("Xing", "Info"); what follows that many frames is another stream.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "audio/byte_view.h"
#include "base/error.h"

typedef struct AudioStream {
    ByteView view;
    bool mpeg;             // to be read with libmpg123; else with libsndfile
    int64_t stated_frames; // that its header promises, or that lie in it; -1: the decoder knows
} AudioStream;

typedef struct Recording {
    ByteFile file;
    bool whole;           // asked for: see recording_open()
    AudioStream *streams; // [n]
    int n;
    unsigned char **memories; // [n_memories] what views of memory stand on
    int n_memories;
} Recording;

// whole: finds all streams, which reads through MPEG, Ogg and FLAC files; else the first is enough. The error
// is the reason alone: the caller names the file. Nothing is decoded, so the samples may still be unreadable.
int recording_open(const char *path, bool whole, Recording *recording, Error *error);
void recording_close(Recording *recording);
// Why the system refused to read, in *error (then -1), or 0.
int recording_check_reading(const Recording *recording, Error *error);
