// Recordings that hold the same samples under several names: counted once, or they would make a speaker of
// their own, of one recording many times.
//
// While a corpus is written, Copies tells which source came first with the same samples (by digest and
// number: 24 bytes a recording). prepare rejects the later ones for a reason that begins with COPY_REASON and
// ends in the id of the first, so that rejects.tsv is the table of copies, too; whoever reads labels of users
// takes those of a copy for the first where it has none (copies_load).
#pragma once
#include <stdint.h>

#include "base/error.h"
#include "cache/corpus.h"

static const char COPY_REASON[] = "the same audio as ";

typedef struct Copies Copies; // not for several threads at once

Copies *copies_create(void);
void copies_destroy(Copies *copies); // NULL is fine
uint64_t copies_digest(const int16_t *samples, int64_t n);
// The source that had these samples first, or -1: none, and this one is remembered.
int64_t copies_find(Copies *copies, uint64_t digest, int64_t n_samples, int64_t source);
// Remembers the utterances in a finished shard; sources [n_sources] are the ids, sorted.
int copies_take_shard(Copies *copies, const char *shard, char *const *sources, int64_t n_sources,
                      Error *error);

typedef struct CopyRow {
    char *utt;     // an id that the corpus does not have
    int64_t first; // the utterance of the corpus with its samples
} CopyRow;

// The copies that were rejected when the folder was prepared; *rows is a new block, freed with
// copies_release. A folder without rejects.tsv has none.
int copies_load(const Corpus *corpus, CopyRow **rows, int64_t *n, Error *error);
void copies_release(CopyRow *rows, int64_t n);
