#include "cache/shard.h"

#include <string.h>

#include "base/memory.h"
#include "cache/shard_format.h"
#include "cache/shard_layout.h"

struct ShardReader {
    char *path;
    ShardLayout layout;
};

ShardReader *shard_reader_open_in(OpenFiles *pool, const char *path, Error *error)
{
    RandomFile *file = random_file_open(pool, path, error);
    if (!file)
        return NULL;
    ShardReader *reader = mem_zero(1, sizeof *reader);
    reader->path = mem_strdup(path);
    reader->layout = (ShardLayout){.path = reader->path, .file = file};
    if (shard_layout_load(&reader->layout, error) == 0)
        return reader;
    shard_reader_close(reader);
    return NULL;
}

ShardReader *shard_reader_open(const char *path, Error *error)
{
    return shard_reader_open_in(NULL, path, error);
}

void shard_reader_close(ShardReader *reader)
{
    if (!reader)
        return;
    random_file_close(reader->layout.file);
    shard_layout_release(&reader->layout);
    mem_free(reader->path);
    mem_free(reader);
}

int64_t shard_reader_count(const ShardReader *reader)
{
    return reader->layout.n_members;
}

const char *shard_reader_name(const ShardReader *reader, int64_t member)
{
    return reader->layout.members[member].name;
}

size_t shard_reader_size(const ShardReader *reader, int64_t member)
{
    return reader->layout.members[member].n_bytes;
}

int64_t shard_reader_find(const ShardReader *reader, const char *name)
{
    const ShardLayout *layout = &reader->layout;
    int64_t low = 0, high = layout->n_members;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = strcmp(name, layout->members[layout->by_name[middle]].name);
        if (order == 0)
            return layout->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

// Bytes [offset, offset + n_bytes) of one frame, straight into place where that is the whole frame.
static int read_piece(const ShardLayout *layout, int64_t frame, size_t offset, size_t n_bytes, char *data,
                      char **scratch, Error *error)
{
    size_t plain_bytes = layout->frames[frame].plain_bytes;
    if (offset == 0 && n_bytes == plain_bytes)
        return shard_frame_read(layout, frame, data, error);
    if (!*scratch)
        *scratch = mem_alloc(2 * FRAME_BYTES, 1);
    if (shard_frame_read(layout, frame, *scratch, error) < 0)
        return -1;
    memcpy(data, *scratch + offset, n_bytes);
    return 0;
}

// shard_layout_load() has made sure that each frame holds its FRAME_BYTES of the member's data.
int shard_reader_read(const ShardReader *reader, int64_t m, size_t start, size_t n_bytes, void *data,
                      Error *error)
{
    const ShardLayout *layout = &reader->layout;
    const ShardMember *member = &layout->members[m];
    if (start > member->n_bytes || n_bytes > member->n_bytes - start)
        return error_set(error, "%s: %s has %zu bytes, wanted %zu from %zu on", reader->path, member->name,
                         member->n_bytes, n_bytes, start);
    char *out = data, *scratch = NULL;
    int status = 0;
    while (status == 0 && n_bytes > 0) {
        size_t frame = start / FRAME_BYTES, at = start % FRAME_BYTES, there = FRAME_BYTES - at;
        size_t piece = n_bytes < there ? n_bytes : there;
        status = read_piece(layout, member->frame + (int64_t)frame, at + (frame == 0 ? member->offset : 0),
                            piece, out, &scratch, error);
        out += piece;
        start += piece;
        n_bytes -= piece;
    }
    mem_free(scratch);
    return status;
}

int shard_reader_load(const ShardReader *reader, const char *name, char **data, size_t *n_bytes, Error *error)
{
    int64_t member = shard_reader_find(reader, name);
    if (member < 0)
        return error_set(error, "%s holds no %s; is it the right kind of shard?", reader->path, name);
    const ShardMember *found = &reader->layout.members[member];
    if (!shard_is_plausible(&reader->layout, found->frame, shard_member_frames(found->n_bytes)))
        return error_set(error,
                         "%s: %s would unpack to more than a thousand times its size, which no data of "
                         "voxloop's does",
                         reader->path, name);
    char *block = mem_try_alloc(found->n_bytes + 1, 1, name, error);
    if (!block)
        return -1;
    if (shard_reader_read(reader, member, 0, found->n_bytes, block, error) < 0) {
        mem_free(block);
        return -1;
    }
    block[found->n_bytes] = '\0';
    *data = block;
    if (n_bytes)
        *n_bytes = found->n_bytes;
    return 0;
}
