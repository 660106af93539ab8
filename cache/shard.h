// A shard is a POSIX (ustar + pax long names) tar in independent zstd frames with checksums, followed by the
// zstd seekable-format table in a skippable frame: `tar --zstd -xf` opens it anywhere, the table gives random
// access. Each member starts a frame of its own; one frame holds one or more whole members, and the last
// member is an index
// ("index.tsv": name, size, frame, offset) so that opening a shard of a million members reads one frame.
//
// Writers publish atomically. Readers check every bound and checksum and never trust a size from the file.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef struct ShardWriter ShardWriter;
ShardWriter *shard_writer_create(const char *path, int compression_level, Error *error);
int shard_writer_add(ShardWriter *writer, const char *name, const void *data, size_t n_bytes, Error *error);
int64_t shard_writer_bytes(const ShardWriter *writer);      // uncompressed bytes added so far
int shard_writer_commit(ShardWriter *writer, Error *error); // frees
void shard_writer_abandon(ShardWriter *writer);             // frees; NULL is fine

typedef struct ShardReader ShardReader;
ShardReader *shard_reader_open(const char *path, Error *error);
void shard_reader_close(ShardReader *reader);
int64_t shard_reader_count(const ShardReader *reader);
const char *shard_reader_name(const ShardReader *reader, int64_t member);
size_t shard_reader_size(const ShardReader *reader, int64_t member);
int64_t shard_reader_find(const ShardReader *reader, const char *name); // -1: not there
// Thread-safe (pread, own decompression state). data holds shard_reader_size() bytes.
int shard_reader_read(const ShardReader *reader, int64_t member, void *data, Error *error);
// A new block with a NUL behind it, freed by the caller; "not in this shard" is an error that names both.
int shard_reader_load(const ShardReader *reader, const char *name, char **data, size_t *n_bytes,
                      Error *error);
