// A shard is a POSIX (ustar, pax for long names) tar in independent zstd frames with checksums, followed by
// the zstd seekable-format table in a skippable frame: `tar --zstd -xf` opens it anywhere, the table gives
// random access.
//
// Every member starts a frame; one longer than 1 MiB goes on in further frames, so that reading three seconds
// of an hour-long recording decompresses two frames. The last member is an index ("index.tsv": name, bytes,
// first frame, offset of the data in it), so that opening a shard of a million members reads one member.
//
// Writers publish atomically. Readers check every bound and checksum and never trust a size from the file; a
// member that unpacks to more than a thousand times its size (and 64 MiB) is not loaded as a whole. Names
// lead into no other folder and are distinct.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "cache/random_file.h"

typedef struct ShardWriter ShardWriter;
ShardWriter *shard_writer_create(const char *path, int compression_level, Error *error); // NULL on failure
// Names are relative paths without control characters, each another one (the writer does not check that).
int shard_writer_add(ShardWriter *writer, const char *name, const void *data, size_t n_bytes, Error *error);
int64_t shard_writer_bytes(const ShardWriter *writer);      // uncompressed bytes added so far
int shard_writer_commit(ShardWriter *writer, Error *error); // frees in any case
void shard_writer_abandon(ShardWriter *writer);             // frees; NULL is fine

typedef struct ShardReader ShardReader;
ShardReader *shard_reader_open(const char *path, Error *error); // NULL on failure
// One of many: its file is open only now and then (cache/random_file.h). The pool outlives the reader.
ShardReader *shard_reader_open_in(OpenFiles *pool, const char *path, Error *error);
void shard_reader_close(ShardReader *reader);          // NULL is fine
int64_t shard_reader_count(const ShardReader *reader); // members, without the index
const char *shard_reader_name(const ShardReader *reader, int64_t member);
size_t shard_reader_size(const ShardReader *reader, int64_t member);
int64_t shard_reader_find(const ShardReader *reader, const char *name); // -1: not there
// Bytes [start, start + n_bytes) of a member. Thread-safe (pread, own decompression state).
int shard_reader_read(const ShardReader *reader, int64_t member, size_t start, size_t n_bytes, void *data,
                      Error *error);
// A whole member in a new block with a NUL behind it, freed by the caller; n_bytes may be NULL. "Not in this
// shard" is an error that names both.
int shard_reader_load(const ShardReader *reader, const char *name, char **data, size_t *n_bytes,
                      Error *error);
