// An audio folder as voxloop-prepare leaves it: audio-00000.tar.zst ... (members `<utt>.wav`: 16 kHz mono
// PCM16 behind a 44-byte header) and utts.tsv (a header line, then utt, shard, samples; sorted by utt in the
// C locale). Utterances go by their ids (cache/names.h); names.tsv (id, name) lists those that had to be
// called otherwise than their files. Utterances are numbered in that order. Read-only after opening, so
// threads may share it.
#pragma once
#include <stdint.h>
#include "base/error.h"

enum { CORPUS_RATE_HZ = 16000, CORPUS_WAV_HEADER_BYTES = 44 };

typedef struct Corpus Corpus;

Corpus *corpus_open(const char *folder, Error *error); // NULL on failure
void corpus_close(Corpus *corpus);                     // NULL is fine
const char *corpus_folder(const Corpus *corpus);
int64_t corpus_count(const Corpus *corpus);
const char *corpus_utt(const Corpus *corpus, int64_t index);
char *const *corpus_utts(const Corpus *corpus); // [count]
int64_t corpus_samples(const Corpus *corpus, int64_t index);
int64_t corpus_find(const Corpus *corpus, const char *utt); // -1: not there
// Samples [start, start + count) in [-1, 1).
int corpus_read(const Corpus *corpus, int64_t index, int64_t start, int64_t count, float *samples,
                Error *error);
