#include "cache/shard.h"

#include <stdio.h>
#include <string.h>
#include <zstd.h>

#include "base/memory.h"
#include "base/text_buffer.h"
#include "cache/publish.h"
#include "cache/shard_format.h"

struct ShardWriter {
    char *path;
    PublishFile *file;
    ZSTD_CCtx *compressor;
    unsigned char *plain; // the frame being filled
    size_t plain_used, plain_capacity;
    void *packed;
    size_t packed_capacity;
    unsigned char *seek_table; // [n_frames, SEEK_ENTRY_BYTES]
    size_t n_frames, frames_capacity;
    TextBuffer index;
    int64_t bytes;
};

ShardWriter *shard_writer_create(const char *path, int compression_level, Error *error)
{
    PublishFile *file = publish_open(path, error);
    if (!file)
        return NULL;
    ShardWriter *writer = mem_zero(1, sizeof *writer);
    writer->path = mem_strdup(path);
    writer->file = file;
    writer->compressor = mem_require(ZSTD_createCCtx());
    ZSTD_CCtx_setParameter(writer->compressor, ZSTD_c_compressionLevel, compression_level);
    ZSTD_CCtx_setParameter(writer->compressor, ZSTD_c_checksumFlag, 1);
    writer->plain_capacity = FRAME_BYTES + 64 * TAR_BLOCK; // room for the headers and the padding
    writer->plain = mem_alloc(writer->plain_capacity, 1);
    writer->packed_capacity = ZSTD_compressBound(writer->plain_capacity);
    writer->packed = mem_alloc(writer->packed_capacity, 1);
    buffer_printf(&writer->index, "%s", SHARD_INDEX_HEADER);
    return writer;
}

static void writer_free(ShardWriter *writer)
{
    ZSTD_freeCCtx(writer->compressor);
    mem_free(writer->path);
    mem_free(writer->plain);
    mem_free(writer->packed);
    mem_free(writer->seek_table);
    buffer_release(&writer->index);
    mem_free(writer);
}

void shard_writer_abandon(ShardWriter *writer)
{
    if (!writer)
        return;
    publish_abandon(writer->file);
    writer_free(writer);
}

int64_t shard_writer_bytes(const ShardWriter *writer)
{
    return writer->bytes;
}

static int write_bytes(ShardWriter *writer, const void *data, size_t n_bytes, Error *error)
{
    if (fwrite(data, 1, n_bytes, publish_stream(writer->file)) != n_bytes)
        return error_set_errno(error, "%s: cannot write", writer->path);
    return 0;
}

// Compresses what has gathered into one frame.
static int flush_frame(ShardWriter *writer, Error *error)
{
    size_t n_packed = ZSTD_compress2(writer->compressor, writer->packed, writer->packed_capacity,
                                     writer->plain, writer->plain_used);
    if (ZSTD_isError(n_packed))
        return error_set(error, "%s: zstd: %s", writer->path, ZSTD_getErrorName(n_packed));
    if (writer->n_frames == writer->frames_capacity) {
        writer->frames_capacity = writer->frames_capacity ? 2 * writer->frames_capacity : 64;
        writer->seek_table = mem_grow(writer->seek_table, writer->frames_capacity, SEEK_ENTRY_BYTES);
    }
    unsigned char *entry = writer->seek_table + SEEK_ENTRY_BYTES * writer->n_frames++;
    store_u32(entry, (uint32_t)n_packed);
    store_u32(entry + 4, (uint32_t)writer->plain_used);
    writer->plain_used = 0;
    return write_bytes(writer, writer->packed, n_packed, error);
}

static void append(ShardWriter *writer, const void *data, size_t n_bytes)
{
    memcpy(writer->plain + writer->plain_used, data, n_bytes);
    writer->plain_used += n_bytes;
}

static void append_padding(ShardWriter *writer, size_t n_bytes)
{
    size_t padding = (TAR_BLOCK - n_bytes % TAR_BLOCK) % TAR_BLOCK;
    memset(writer->plain + writer->plain_used, 0, padding);
    writer->plain_used += padding;
}

// One ustar header block. Fields by offset: name 0, mode 100, uid 108, gid 116, size 124, mtime 136, checksum
// 148, type 156, magic 257. Times and owners are zero, so that equal contents give equal bytes.
static void append_header(ShardWriter *writer, const char *name, size_t n_bytes, char type)
{
    char block[TAR_BLOCK] = {0};
    size_t length = strlen(name);
    memcpy(block, name, length < 100 ? length : 100);
    memcpy(block + 100, "0000644\0000000000\0000000000\0", 24);
    if (n_bytes < (size_t)1 << 33) {
        snprintf(block + 124, 12, "%011zo", n_bytes);
    } else { // GNU's base-256 form
        block[124] = (char)0x80;
        for (int i = 0; i < 8; i++)
            block[135 - i] = (char)(n_bytes >> (8 * i));
    }
    memcpy(block + 136, "00000000000", 12);
    memset(block + 148, ' ', 8);
    block[156] = type;
    memcpy(block + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (int i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    append(writer, block, TAR_BLOCK);
}

// A pax header that carries a name longer than ustar's 100 bytes: "<length> path=<name>\n", its length
// included.
static void append_long_name(ShardWriter *writer, const char *name)
{
    size_t rest = strlen(" path=\n") + strlen(name), length = rest + 1;
    while (length != rest + (size_t)snprintf(NULL, 0, "%zu", length))
        length = rest + (size_t)snprintf(NULL, 0, "%zu", length);
    char *record = mem_printf("%zu path=%s\n", length, name);
    append_header(writer, "pax-name", length, 'x');
    append(writer, record, length);
    append_padding(writer, length);
    mem_free(record);
}

static int append_member(ShardWriter *writer, const char *name, const void *data, size_t n_bytes,
                         size_t *offset, Error *error)
{
    if (strlen(name) > 100)
        append_long_name(writer, name);
    append_header(writer, name, n_bytes, '0');
    *offset = writer->plain_used;
    size_t done = 0;
    do {
        size_t piece = n_bytes - done < FRAME_BYTES ? n_bytes - done : FRAME_BYTES;
        append(writer, (const char *)data + done, piece);
        done += piece;
        if (done < n_bytes && flush_frame(writer, error) < 0)
            return -1;
    } while (done < n_bytes);
    append_padding(writer, n_bytes);
    return 0;
}

static int check_name(const ShardWriter *writer, const char *name, Error *error)
{
    if (!name[0] || strlen(name) > 4096)
        return error_set(error, "%s: a member's name must have 1 to 4096 bytes", writer->path);
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ')
            return error_set(error, "%s: the name \"%s\" holds a control character; rename the file",
                             writer->path, name);
    if (!shard_name_is_safe(name))
        return error_set(error, "%s: the name \"%s\" leads out of the folder; rename the file", writer->path,
                         name);
    return 0;
}

int shard_writer_add(ShardWriter *writer, const char *name, const void *data, size_t n_bytes, Error *error)
{
    if (check_name(writer, name, error) < 0)
        return -1;
    size_t first_frame = writer->n_frames, offset;
    if (append_member(writer, name, data, n_bytes, &offset, error) < 0 || flush_frame(writer, error) < 0)
        return -1;
    buffer_printf(&writer->index, "%s\t%zu\t%zu\t%zu\n", name, n_bytes, first_frame, offset);
    writer->bytes += (int64_t)n_bytes;
    return 0;
}

// The index, the two empty blocks that end a tar, and the seek table.
static int write_tail(ShardWriter *writer, Error *error)
{
    size_t offset;
    if (append_member(writer, SHARD_INDEX_NAME, buffer_text(&writer->index), writer->index.n_bytes, &offset,
                      error) < 0)
        return -1;
    const char end[2 * TAR_BLOCK] = {0};
    append(writer, end, sizeof end);
    if (flush_frame(writer, error) < 0)
        return -1;

    unsigned char head[SKIPPABLE_HEADER_BYTES], foot[SEEK_FOOTER_BYTES] = {0};
    size_t table_bytes = SEEK_ENTRY_BYTES * writer->n_frames;
    store_u32(head, SKIPPABLE_MAGIC);
    store_u32(head + 4, (uint32_t)(table_bytes + SEEK_FOOTER_BYTES));
    store_u32(foot, (uint32_t)writer->n_frames);
    store_u32(foot + 5, SEEKABLE_MAGIC);
    if (write_bytes(writer, head, sizeof head, error) < 0 ||
        write_bytes(writer, writer->seek_table, table_bytes, error) < 0)
        return -1;
    return write_bytes(writer, foot, sizeof foot, error);
}

int shard_writer_commit(ShardWriter *writer, Error *error)
{
    int status = write_tail(writer, error);
    if (status == 0)
        status = publish_commit(writer->file, error);
    else
        publish_abandon(writer->file);
    writer_free(writer);
    return status;
}
