// Kaldi's segments: `utt recording start end [channel]`, in seconds, one a line; an end of -1 is the
// recording's. Channels count from 0; the sides of a call may be called A and B. Without one it is all
// channels together.
#pragma once
#include <stdint.h>

#include "base/error.h"

enum { SEGMENTS_MAX_CHANNELS = 1024 };

typedef struct Segment {
    char *utt, *name, *recording; // ids (cache/names.h); name: what the file calls the utterance
    double start, end;            // seconds; end -1: the recording's
    int channel;                  // -1: all
    int64_t line;
} Segment;

typedef struct Segments {
    Segment *items; // [n], sorted by utt, which are distinct
    int64_t n;
} Segments;

int segments_load(const char *path, Segments *segments, Error *error); // errors name file and line
void segments_release(Segments *segments);
