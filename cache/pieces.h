// Stretches of utterances and their names: "a.wav" is the whole of it, "a.wav#1" and "a.wav#2" are its first
// and second half, which label-free trials take for two recordings of one speaker.
#pragma once
#include <stddef.h>
#include "cache/corpus.h"

typedef struct Piece {
    int64_t utt, start, n_samples;
} Piece;

enum { PIECES_OF_HALVES = 2 };

// half: 0 for the whole utterance, 1 or 2.
Piece piece_of(const Corpus *corpus, int64_t utt, int half);
// Crop number `index` of `count`, n_samples long and evenly spaced over the utterance; of a shorter utterance
// each is the whole.
Piece piece_of_crops(const Corpus *corpus, int64_t utt, int64_t index, int64_t count, int64_t n_samples);
char *piece_name(const char *utt, int half); // the caller frees
// The length of the utterance's part of a name; *half as above.
size_t piece_parse(const char *name, int *half);
// 0, or -1: the corpus has no such utterance. An utterance that is called so comes before a half.
int piece_find(const Corpus *corpus, const char *name, Piece *piece);
