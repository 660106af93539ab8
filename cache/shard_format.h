// What the shard's writer and reader agree on: numbers of the tar and zstd-seekable formats, and the index
// member. The seekable format is described in zstd's
// contrib/seekable_format/zstd_seekable_compression_format.md.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
    TAR_BLOCK = 512,
    FRAME_BYTES = 1 << 20, // of member data in one frame at most: 32 s of audio
    SEEK_ENTRY_BYTES = 8,  // compressed size, decompressed size; no checksum (frames carry their own)
    SEEK_FOOTER_BYTES = 9, // number of frames, descriptor, magic
    SKIPPABLE_HEADER_BYTES = 8,
};
static const uint32_t SKIPPABLE_MAGIC = 0x184D2A5E, SEEKABLE_MAGIC = 0x8F92EAB1;

#define SHARD_INDEX_NAME   "index.tsv"
#define SHARD_INDEX_HEADER "name\tbytes\tframe\toffset\n"

// Whether unpacking a member of this name stays in the folder: neither from the root nor by "..".
bool shard_name_is_safe(const char *name);

static inline void store_u32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static inline uint32_t load_u32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}
