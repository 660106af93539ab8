// What a finished shard of an unfinished corpus covers, so that a later run can go on behind it: a hidden
// file beside each, ".audio-00000.part",
//
//     the recipe of the run
//     the number of sources up to its end
//     its row of shards.tsv
//     "+" and a row of utts.tsv, or "-" and a row of rejects.tsv, one for each source since the part before
//     XXH64 of all that stands above
//
// It is believed when the digest fits and every row agrees with the shard itself; anything else is as if it
// were not there: the shard is made again.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct CorpusPart {
    int64_t n_sources; // up to its end
    const char *shard_row;
    char *const *rows; // [n]
    int64_t n;
    char **lines; // what the others point into
    int64_t n_lines;
} CorpusPart;

// rows: the text of all, each with its end.
int corpus_part_publish(const char *path, const char *recipe, int64_t n_sources, const char *shard_row,
                        const char *rows, Error *error);
// shard: the path of the shard that it must cover; n_before: sources of the parts before.
bool corpus_part_load(const char *path, const char *shard, const char *recipe, int64_t n_before,
                      CorpusPart *part);
void corpus_part_release(CorpusPart *part);
int64_t corpus_part_samples(const char *row); // of a row with "+"
