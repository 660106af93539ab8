// An audio folder as `voxloop-prepare` leaves it: audio-00000.tar.zst ... (16 kHz mono PCM16 WAVs) and
// utts.tsv (utt, shard, samples; sorted by utt in the C locale). Utterances are numbered in that order.
#pragma once
#include <stdint.h>
#include "base/error.h"

enum { CORPUS_RATE_HZ = 16000 };

typedef struct Corpus Corpus;

Corpus *corpus_open(const char *folder, Error *error);
void corpus_close(Corpus *corpus);
int64_t corpus_count(const Corpus *corpus);
const char *corpus_utt(const Corpus *corpus, int64_t index);
int64_t corpus_samples(const Corpus *corpus, int64_t index);
int64_t corpus_find(const Corpus *corpus, const char *utt); // -1: not there
const char *corpus_digest(const Corpus *corpus);            // of utts.tsv, for provenance
// Samples [start, start + count) in [-1, 1); thread-safe.
int corpus_read(const Corpus *corpus, int64_t index, int64_t start, int64_t count, float *samples,
                Error *error);
