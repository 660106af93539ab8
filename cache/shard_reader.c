#include "cache/shard.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/memory.h"
#include "cache/shard_format.h"

typedef struct Frame {
    int64_t offset; // in the file
    uint32_t packed_bytes, plain_bytes;
} Frame;

typedef struct Member {
    const char *name; // inside the index text
    size_t n_bytes;
    int64_t frame; // the first one
    size_t offset; // of the data, in it
} Member;

struct ShardReader {
    char *path;
    int descriptor;
    Frame *frames;
    int64_t n_frames;
    char *index;      // tabs and newlines replaced by NULs
    Member *members;  // [n_members], in the order of writing
    int64_t *by_name; // member numbers, sorted by name
    int64_t n_members;
};

static int damaged(const ShardReader *reader, Error *error, const char *what)
{
    return error_set(error, "%s is not a whole shard: %s; make it again", reader->path, what);
}

static int read_at(const ShardReader *reader, int64_t offset, void *data, size_t n_bytes, Error *error)
{
    for (size_t done = 0; done < n_bytes;) {
        ssize_t got = pread(reader->descriptor, (char *)data + done, n_bytes - done, offset + (int64_t)done);
        if (got < 0)
            return error_set_errno(error, "%s: cannot read", reader->path);
        if (got == 0)
            return damaged(reader, error, "it ends too early");
        done += (size_t)got;
    }
    return 0;
}

// The table at the end; its sizes have to add up to the file's.
static int read_seek_table(ShardReader *reader, Error *error)
{
    struct stat info;
    if (fstat(reader->descriptor, &info) < 0)
        return error_set_errno(error, "%s: cannot read", reader->path);
    unsigned char foot[SEEK_FOOTER_BYTES], head[SKIPPABLE_HEADER_BYTES];
    if (info.st_size < SEEK_FOOTER_BYTES + SKIPPABLE_HEADER_BYTES)
        return damaged(reader, error, "it is too short");
    if (read_at(reader, info.st_size - SEEK_FOOTER_BYTES, foot, sizeof foot, error) < 0)
        return -1;
    if (load_u32(foot + 5) != SEEKABLE_MAGIC || foot[4] != 0)
        return damaged(reader, error, "the seek table at its end is missing");
    reader->n_frames = load_u32(foot);
    int64_t table_bytes = SEEK_ENTRY_BYTES * reader->n_frames;
    int64_t table = info.st_size - SEEK_FOOTER_BYTES - table_bytes;
    if (reader->n_frames < 1 || table < SKIPPABLE_HEADER_BYTES)
        return damaged(reader, error, "its seek table is longer than the file");
    if (read_at(reader, table - SKIPPABLE_HEADER_BYTES, head, sizeof head, error) < 0)
        return -1;
    if (load_u32(head) != SKIPPABLE_MAGIC || load_u32(head + 4) != table_bytes + SEEK_FOOTER_BYTES)
        return damaged(reader, error, "its seek table has the wrong size");

    unsigned char *entries = mem_alloc((size_t)table_bytes, 1);
    int status = read_at(reader, table, entries, (size_t)table_bytes, error);
    reader->frames = mem_zero((size_t)reader->n_frames, sizeof *reader->frames);
    int64_t offset = 0;
    for (int64_t f = 0; status == 0 && f < reader->n_frames; f++) {
        const unsigned char *entry = entries + SEEK_ENTRY_BYTES * f;
        reader->frames[f] = (Frame){offset, load_u32(entry), load_u32(entry + 4)};
        offset += reader->frames[f].packed_bytes;
        if (reader->frames[f].plain_bytes > 2u * FRAME_BYTES)
            status = damaged(reader, error, "a frame in its seek table is too large");
    }
    mem_free(entries);
    if (status == 0 && offset != table - SKIPPABLE_HEADER_BYTES)
        status = damaged(reader, error, "its frames do not fill the file");
    return status;
}

// Decompresses one frame into plain [plain_bytes]; zstd verifies the frame's checksum.
static int read_frame(const ShardReader *reader, int64_t f, void *plain, Error *error)
{
    const Frame *frame = &reader->frames[f];
    void *packed = mem_alloc(frame->packed_bytes, 1);
    int status = read_at(reader, frame->offset, packed, frame->packed_bytes, error);
    if (status == 0) {
        size_t got = ZSTD_decompress(plain, frame->plain_bytes, packed, frame->packed_bytes);
        if (ZSTD_isError(got))
            status = error_set(error, "%s: frame %lld is damaged (zstd: %s); make the file again",
                               reader->path, (long long)f, ZSTD_getErrorName(got));
        else if (got != frame->plain_bytes)
            status = damaged(reader, error, "a frame has another size than the seek table says");
    }
    mem_free(packed);
    return status;
}

// What zstd's own frame header says, for a frame that is passed over unread: the seek table has no checksum.
static int check_frame_size(const ShardReader *reader, int64_t f, Error *error)
{
    enum { HEADER_MAX = 18 };
    unsigned char header[HEADER_MAX];
    const Frame *frame = &reader->frames[f];
    size_t n_bytes = frame->packed_bytes < HEADER_MAX ? frame->packed_bytes : HEADER_MAX;
    if (read_at(reader, frame->offset, header, n_bytes, error) < 0)
        return -1;
    if (ZSTD_getFrameContentSize(header, n_bytes) != frame->plain_bytes)
        return damaged(reader, error, "a frame has another size than the seek table says");
    return 0;
}

static int read_range(const ShardReader *reader, int64_t frame, size_t offset, size_t n_bytes, char *data,
                      Error *error)
{
    while (frame < reader->n_frames && offset >= reader->frames[frame].plain_bytes) {
        if (check_frame_size(reader, frame, error) < 0)
            return -1;
        offset -= reader->frames[frame++].plain_bytes;
    }
    char *plain = mem_alloc(2 * FRAME_BYTES, 1);
    int status = 0;
    for (; status == 0 && n_bytes > 0; frame++, offset = 0) {
        if (frame >= reader->n_frames) {
            status = damaged(reader, error, "a member goes beyond the last frame");
            break;
        }
        status = read_frame(reader, frame, plain, error);
        size_t there = reader->frames[frame].plain_bytes - offset, piece = n_bytes < there ? n_bytes : there;
        if (status == 0)
            memcpy(data, plain + offset, piece);
        data += piece;
        n_bytes -= piece;
    }
    mem_free(plain);
    return status;
}

static size_t tar_size(const char *header)
{
    return (size_t)strtoull(header + 124, NULL, 8);
}

// The index is the last member: it begins in some frame near the end and its tar header says how long it is.
static int load_index(ShardReader *reader, Error *error)
{
    char *plain = mem_alloc(2 * FRAME_BYTES, 1);
    int status = -1;
    int64_t f = reader->n_frames;
    while (f-- > 0) {
        if (read_frame(reader, f, plain, error) < 0)
            goto done;
        if (reader->frames[f].plain_bytes >= TAR_BLOCK && memcmp(plain + 257, "ustar", 5) == 0 &&
            strcmp(plain, SHARD_INDEX_NAME) == 0)
            break;
    }
    if (f < 0) {
        damaged(reader, error, "its index is missing");
        goto done;
    }
    size_t n_bytes = tar_size(plain), there = 0;
    for (int64_t g = f; g < reader->n_frames; g++)
        there += reader->frames[g].plain_bytes;
    if (n_bytes > there - TAR_BLOCK) {
        damaged(reader, error, "its index is cut off");
        goto done;
    }
    reader->index = mem_alloc(n_bytes + 1, 1);
    reader->index[n_bytes] = '\0';
    status = read_range(reader, f, TAR_BLOCK, n_bytes, reader->index, error);
done:
    mem_free(plain);
    return status;
}

// Cuts the next tab- or newline-terminated field off; NULL when there is none.
static char *next_field(char **text, char end)
{
    char *field = *text, *stop = strchr(field, end);
    if (!stop)
        return NULL;
    *stop = '\0';
    *text = stop + 1;
    return field;
}

static int64_t field_number(const char *field)
{
    char *end = NULL;
    long long number = field && *field ? strtoll(field, &end, 10) : -1;
    return end && !*end && number >= 0 ? number : -1;
}

static bool member_fits(const ShardReader *reader, const Member *member)
{
    size_t there = 0;
    for (int64_t f = member->frame; f < reader->n_frames; f++) {
        there += reader->frames[f].plain_bytes;
        if (member->offset <= there && member->n_bytes <= there - member->offset)
            return true;
    }
    return false;
}

static int parse_index(ShardReader *reader, Error *error)
{
    char *text = reader->index;
    size_t header = strlen(SHARD_INDEX_HEADER);
    if (strncmp(text, SHARD_INDEX_HEADER, header) != 0)
        return damaged(reader, error, "its index has another form");
    text += header;
    int64_t n_lines = 0;
    for (const char *c = text; *c; c++)
        n_lines += *c == '\n';
    reader->members = mem_zero((size_t)n_lines, sizeof *reader->members);
    for (int64_t m = 0; m < n_lines; m++) {
        char *name = next_field(&text, '\t');
        int64_t n_bytes = name ? field_number(next_field(&text, '\t')) : -1;
        int64_t frame = n_bytes >= 0 ? field_number(next_field(&text, '\t')) : -1;
        int64_t offset = frame >= 0 ? field_number(next_field(&text, '\n')) : -1;
        reader->members[m] = (Member){name, (size_t)n_bytes, frame, (size_t)offset};
        if (offset < 0 || !member_fits(reader, &reader->members[m]))
            return damaged(reader, error, "its index does not fit its frames");
    }
    reader->n_members = n_lines;
    return 0;
}

static int compare_names(const void *left, const void *right, void *members)
{
    const Member *all = members;
    return strcmp(all[*(const int64_t *)left].name, all[*(const int64_t *)right].name);
}

static void sort_names(ShardReader *reader)
{
    reader->by_name = mem_alloc((size_t)reader->n_members, sizeof(int64_t));
    for (int64_t m = 0; m < reader->n_members; m++)
        reader->by_name[m] = m;
    qsort_r(reader->by_name, (size_t)reader->n_members, sizeof(int64_t), compare_names, reader->members);
}

ShardReader *shard_reader_open(const char *path, Error *error)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        error_set_errno(error, "%s: cannot open", path);
        return NULL;
    }
    ShardReader *reader = mem_zero(1, sizeof *reader);
    reader->path = mem_strdup(path);
    reader->descriptor = descriptor;
    if (read_seek_table(reader, error) < 0 || load_index(reader, error) < 0 ||
        parse_index(reader, error) < 0) {
        shard_reader_close(reader);
        return NULL;
    }
    sort_names(reader);
    return reader;
}

void shard_reader_close(ShardReader *reader)
{
    if (!reader)
        return;
    close(reader->descriptor);
    mem_free(reader->path);
    mem_free(reader->frames);
    mem_free(reader->index);
    mem_free(reader->members);
    mem_free(reader->by_name);
    mem_free(reader);
}

int64_t shard_reader_count(const ShardReader *reader)
{
    return reader->n_members;
}

const char *shard_reader_name(const ShardReader *reader, int64_t member)
{
    return reader->members[member].name;
}

size_t shard_reader_size(const ShardReader *reader, int64_t member)
{
    return reader->members[member].n_bytes;
}

int64_t shard_reader_find(const ShardReader *reader, const char *name)
{
    int64_t low = 0, high = reader->n_members;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = strcmp(name, reader->members[reader->by_name[middle]].name);
        if (order == 0)
            return reader->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

int shard_reader_read(const ShardReader *reader, int64_t m, size_t start, size_t n_bytes, void *data,
                      Error *error)
{
    const Member *member = &reader->members[m];
    if (start > member->n_bytes || n_bytes > member->n_bytes - start)
        return error_set(error, "%s: %s has %zu bytes, wanted %zu from %zu on", reader->path, member->name,
                         member->n_bytes, n_bytes, start);
    return read_range(reader, member->frame, member->offset + start, n_bytes, data, error);
}

int shard_reader_load(const ShardReader *reader, const char *name, char **data, size_t *n_bytes, Error *error)
{
    int64_t member = shard_reader_find(reader, name);
    if (member < 0)
        return error_set(error, "%s holds no %s; is it the right kind of shard?", reader->path, name);
    size_t size = reader->members[member].n_bytes;
    char *block = mem_try_alloc(size + 1, 1, name, error);
    if (!block)
        return -1;
    if (shard_reader_read(reader, member, 0, size, block, error) < 0) {
        mem_free(block);
        return -1;
    }
    block[size] = '\0';
    *data = block;
    if (n_bytes)
        *n_bytes = size;
    return 0;
}
