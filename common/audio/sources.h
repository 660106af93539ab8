// Which recordings there are: a folder, a Kaldi data directory, a wav.scp, or a list of files.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "audio/decode.h"
#include "base/error.h"

typedef struct AudioSources {
    char **utts;     // [n] ids (cache/names.h), sorted in the C locale, distinct
    char **names;    // [n] the path below the folder or in the list, or what wav.scp or segments call it
    char **paths;    // [n] to open
    bool named;      // by a wav.scp: a path is not told by the name
    DecodeCut *cuts; // [n] what of the recording; NULL: all of it
    int64_t n;
    int64_t n_ignored; // files of the folder whose names are not those of recordings
} AudioSources;

// path: a folder, searched recursively for names that end like recordings (.wav, .flac, .mp3 ...); a wav.scp
// (`utt path` lines), or a folder that holds one; or a list of one path a line. Which of the two a list is,
// the files decide that its first lines name, one way or the other; paths in it are from the working
// directory or from the list's folder (listed_path() in cache/lists.h). None at all is an error; so are CSV
// and JSON. segments: Kaldi's list of the utterances inside the recordings of the wav.scp; NULL: the one
// beside the wav.scp in a Kaldi data directory, if there. A reco2file_and_channel there says which side of a
// call a recording is (A or B; `recording file side`), which holds where segments do not name a channel.
int audio_sources_find(const char *path, const char *segments, AudioSources *sources, Error *error);
// All that says which samples an utterance is, but for the recording's path: "call-1\t0.5\t2\t-1". The caller
// frees.
char *audio_source_describe(const AudioSources *sources, int64_t i);
void audio_sources_release(AudioSources *sources);
