// Where in a shard what lies, found out when it is opened; the reader's own business (cache/shard.h).
//
// Nothing in the file is believed because the file says so. Sizes in the seek table have to add up to the
// file; the index member at the end, whose frames carry checksums, says what every frame must hold, and the
// table has to agree frame by frame; a member lies where the writer puts it, so that finding a byte of it
// takes no search. The index itself is found from the end, in frames that a real index could have.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/random_file.h"

typedef struct ShardFrame {
    int64_t offset; // in the file
    uint32_t packed_bytes, plain_bytes;
} ShardFrame;

typedef struct ShardMember {
    const char *name; // inside the index text
    size_t n_bytes;
    int64_t frame; // the first one
    size_t offset; // of the data, in it
} ShardMember;

typedef struct ShardLayout {
    const char *path;
    RandomFile *file;
    ShardFrame *frames;
    int64_t n_frames;
    char *index;          // tabs and newlines replaced by NULs
    ShardMember *members; // [n_members], in the order of writing
    int64_t *by_name;     // member numbers, sorted by name
    int64_t n_members;
} ShardLayout;

// path and file are set by the caller and stay its own; all else is released by shard_layout_release().
int shard_layout_load(ShardLayout *layout, Error *error);
void shard_layout_release(ShardLayout *layout);

int shard_damaged(const ShardLayout *layout, Error *error, const char *what); // always -1
// Decompresses one frame into plain [its plain_bytes]; zstd verifies the frame's checksum.
int shard_frame_read(const ShardLayout *layout, int64_t frame, void *plain, Error *error);
// Whether so many frames may be unpacked at once: no data of ours shrinks to a thousandth, and what is small
// does no harm.
bool shard_is_plausible(const ShardLayout *layout, int64_t first_frame, int64_t n_frames);
int64_t shard_member_frames(size_t n_bytes); // that a member of so many bytes fills
