// Kaldi's segments: `utt recording start end`, in seconds, one a line; an end of -1 is the recording's, a
// fifth column (the channel) is ignored, as all channels are averaged.
#pragma once
#include <stdint.h>

#include "base/error.h"

typedef struct Segment {
    char *utt, *name, *recording; // ids (cache/names.h); name: what the file calls the utterance
    double start, end;            // seconds; end -1: the recording's
    int64_t line;
} Segment;

typedef struct Segments {
    Segment *items; // [n], sorted by utt, which are distinct
    int64_t n;
} Segments;

int segments_load(const char *path, Segments *segments, Error *error); // errors name file and line
void segments_release(Segments *segments);
