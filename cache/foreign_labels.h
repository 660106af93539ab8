// Lists of utterances and speakers that users bring, in the forms that their tools write:
//
//     utterance speaker                  Kaldi's utt2spk; the columns are separated by blanks or a tab
//     speaker utterance                  VoxCeleb's lists
//     File,Speaker                       CSV with a header that names a column of utterances and one of
//     speakers,
//                                        among others; fields may be quoted; semicolons and tabs do too
//     utterance,speaker                  CSV without a header, in either order
//     {"audio_filepath": ..., "label": ...}   JSON lines (NeMo)
//
// The ids that the audio has decide what a name is and where it ends, so names may hold blanks and commas:
// `New Recording 1.flac spk1` is read as it is meant. What fits two readings is refused, and so are a third
// column, a header or a comment where none belong, and a list whose lines disagree: always with file and
// line. Where every name is unknown, but is known without one folder in front of all ("/data/vox/"), it is
// read so.
#pragma once
#include "base/error.h"
#include "cache/names.h"

typedef struct ForeignLabel {
    char *utt, *label; // utt: an id; of an utterance that is not among the known, its name as an id
    int64_t line;
} ForeignLabel;

typedef struct ForeignLabels {
    ForeignLabel *items; // [n] sorted by utt, which are distinct
    int64_t n;
    const char *form; // "utterance speaker"
} ForeignLabels;

// names NULL: not known which ids there are; then names without blanks only.
int foreign_labels_load(const char *path, Names *names, ForeignLabels *labels, Error *error);
void foreign_labels_release(ForeignLabels *labels);
