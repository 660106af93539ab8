// Writes the audio folder that cache/corpus.h reads: shards, utts.tsv, shards.tsv, rejects.tsv, and names.tsv
// where an id is not the name. (In names.tsv control characters of a name are visible ones, so that its rows
// stay rows.)
//
//     CorpusWriter *writer = corpus_writer_open(&options, &n_done, error);
//     for (i = n_done; i < n; i++)                                // sources in the C locale's order of their
//     ids
//         corpus_writer_add(writer, ...) or corpus_writer_reject(writer, ...);
//     corpus_writer_commit(writer, error);                        // or corpus_writer_abandon(writer)
//
// utts.tsv is removed before the first shard changes and published last: a folder that has one is whole. With
// each finished shard goes a hidden file that says which sources it covers; a later run with the same recipe
// goes on behind the last of them and ends in the same bytes. shards.tsv (shard, bytes, digest of the names
// and WAVs in it, taken while they are written) lets others tell by a few kilobytes what the shards hold.
// Nothing is written before the first utterance.
#pragma once
#include <stdint.h>
#include "base/error.h"

typedef struct CorpusWriterOptions {
    const char *folder;  // exists
    const char *recipe;  // a line that stands for sources and settings: another one starts afresh
    int64_t shard_bytes; // a new shard begins after this much audio
    int compression_level;
} CorpusWriterOptions;

enum {
    CORPUS_MAX_SAMPLES = (INT32_MAX - 44) / 2, // what a WAV file can hold
    CORPUS_MAX_UTT_BYTES = 4000                // what a shard's member can be called, with its ending
};

typedef struct CorpusWriter CorpusWriter;

// *n_done sources of an interrupted run with this recipe are finished; start behind them. NULL on failure.
CorpusWriter *corpus_writer_open(const CorpusWriterOptions *options, int64_t *n_done, Error *error);
// The next source: 16 kHz mono samples [n], n <= CORPUS_MAX_SAMPLES. utt: an id (cache/names.h).
int corpus_writer_add(CorpusWriter *writer, const char *utt, const int16_t *samples, int64_t n, Error *error);
// The next source is refused; control characters in the reason are made visible (base/text.h).
void corpus_writer_reject(CorpusWriter *writer, const char *utt, const char *reason);
// For every source, in order, whether it was finished before or not: a row of names.tsv where the name is
// another than the id.
void corpus_writer_name(CorpusWriter *writer, const char *utt, const char *name);
int64_t corpus_writer_renamed(const CorpusWriter *writer); // how many
int64_t corpus_writer_shards(const CorpusWriter *writer);  // finished, as `folder`/audio-00000.tar.zst ...
int64_t corpus_writer_accepted(const CorpusWriter *writer);
int64_t corpus_writer_samples(const CorpusWriter *writer); // of all utterances
// Publishes; frees in any case. Without a single utterance it fails, naming the first reject.
int corpus_writer_commit(CorpusWriter *writer, Error *error);
void corpus_writer_abandon(
    CorpusWriter *writer); // frees; finished shards stay for the next run; NULL is fine
