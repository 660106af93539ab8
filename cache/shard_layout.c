#include "cache/shard_layout.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/memory.h"
#include "base/strange_file.h"
#include "cache/shard_format.h"

enum {
    PLAIN_MOST = 2 * FRAME_BYTES, // in a frame: a piece of data, headers, padding
    HARMLESS_BYTES = 64 << 20,
    RATIO_MOST = 1000,
};

int shard_damaged(const ShardLayout *layout, Error *error, const char *what)
{
    return error_set(error, "%s is not a whole shard: %s; make it again", layout->path, what);
}

// ---- the seek table --------------------------------------------------------------------------------------

// Where the table begins; its frame ends the file.
static int find_seek_table(ShardLayout *layout, int64_t *table, Error *error)
{
    unsigned char foot[SEEK_FOOTER_BYTES], head[SKIPPABLE_HEADER_BYTES];
    int64_t n_bytes = random_file_bytes(layout->file);
    if (n_bytes < SEEK_FOOTER_BYTES + SKIPPABLE_HEADER_BYTES)
        return shard_damaged(layout, error, "it is too short");
    if (random_file_read(layout->file, n_bytes - SEEK_FOOTER_BYTES, foot, sizeof foot, error) < 0)
        return -1;
    if (load_u32(foot + 5) != SEEKABLE_MAGIC || foot[4] != 0)
        return shard_damaged(layout, error, "the seek table at its end is missing");
    layout->n_frames = load_u32(foot);
    int64_t table_bytes = SEEK_ENTRY_BYTES * layout->n_frames;
    *table = n_bytes - SEEK_FOOTER_BYTES - table_bytes;
    if (layout->n_frames < 1 || *table < SKIPPABLE_HEADER_BYTES)
        return shard_damaged(layout, error, "its seek table is longer than the file");
    if (random_file_read(layout->file, *table - SKIPPABLE_HEADER_BYTES, head, sizeof head, error) < 0)
        return -1;
    if (load_u32(head) != SKIPPABLE_MAGIC || load_u32(head + 4) != table_bytes + SEEK_FOOTER_BYTES)
        return shard_damaged(layout, error, "its seek table has the wrong size");
    return 0;
}

static int take_frames(ShardLayout *layout, const unsigned char *entries, int64_t end, Error *error)
{
    int64_t offset = 0;
    for (int64_t f = 0; f < layout->n_frames; f++) {
        const unsigned char *entry = entries + SEEK_ENTRY_BYTES * f;
        ShardFrame frame = {offset, load_u32(entry), load_u32(entry + 4)};
        if (frame.plain_bytes > PLAIN_MOST || frame.packed_bytes > ZSTD_compressBound(PLAIN_MOST))
            return shard_damaged(layout, error, "a frame in its seek table is too large");
        layout->frames[f] = frame;
        offset += frame.packed_bytes;
    }
    return offset == end ? 0 : shard_damaged(layout, error, "its frames do not fill the file");
}

static int read_seek_table(ShardLayout *layout, Error *error)
{
    int64_t table = 0;
    if (find_seek_table(layout, &table, error) < 0)
        return -1;
    size_t n = (size_t)layout->n_frames;
    unsigned char *entries = mem_try_alloc(n, SEEK_ENTRY_BYTES, layout->path, error);
    layout->frames = mem_try_alloc(n, sizeof *layout->frames, layout->path, error);
    int status = entries && layout->frames ? 0 : -1;
    if (status == 0)
        status = random_file_read(layout->file, table, entries, n * SEEK_ENTRY_BYTES, error);
    if (status == 0)
        status = take_frames(layout, entries, table - SKIPPABLE_HEADER_BYTES, error);
    mem_free(entries);
    return status;
}

// ---- frames ----------------------------------------------------------------------------------------------

static int unpack(const ShardLayout *layout, int64_t f, const void *packed, void *plain, Error *error)
{
    const ShardFrame *frame = &layout->frames[f];
    size_t got = ZSTD_decompress(plain, frame->plain_bytes, packed, frame->packed_bytes);
    if (ZSTD_isError(got) && ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation)
        return error_set(error, "out of memory while %s was unpacked; close other programs", layout->path);
    if (ZSTD_isError(got))
        return error_set(error, "%s: frame %lld is damaged (zstd: %s); make the file again", layout->path,
                         (long long)f, ZSTD_getErrorName(got));
    if (got != frame->plain_bytes)
        return shard_damaged(layout, error, "a frame has another size than the seek table says");
    return 0;
}

int shard_frame_read(const ShardLayout *layout, int64_t f, void *plain, Error *error)
{
    const ShardFrame *frame = &layout->frames[f];
    void *packed = mem_alloc(frame->packed_bytes, 1);
    int status = random_file_read(layout->file, frame->offset, packed, frame->packed_bytes, error);
    if (status == 0)
        status = unpack(layout, f, packed, plain, error);
    mem_free(packed);
    return status;
}

bool shard_is_plausible(const ShardLayout *layout, int64_t first_frame, int64_t n_frames)
{
    int64_t packed = 0, plain = 0;
    for (int64_t f = first_frame; f < first_frame + n_frames; f++) {
        packed += layout->frames[f].packed_bytes;
        plain += layout->frames[f].plain_bytes;
    }
    return plain <= HARMLESS_BYTES || plain / RATIO_MOST <= packed;
}

int64_t shard_member_frames(size_t n_bytes)
{
    return n_bytes == 0 ? 1 : (int64_t)((n_bytes - 1) / FRAME_BYTES) + 1;
}

// ---- the index -------------------------------------------------------------------------------------------

static bool is_index_header(const char *plain, uint32_t n_bytes)
{
    return n_bytes >= TAR_BLOCK && memcmp(plain + 257, "ustar", 5) == 0 &&
           strncmp(plain, SHARD_INDEX_NAME, sizeof SHARD_INDEX_NAME) == 0;
}

// The index is the last member: between its first frame and its last all are full. The search ends where
// that is not so, or where a real index would have ended long ago.
static int find_index(const ShardLayout *layout, char *plain, int64_t *first, Error *error)
{
    for (int64_t f = layout->n_frames - 1; f >= 0; f--) {
        const ShardFrame *frame = &layout->frames[f];
        if (!shard_is_plausible(layout, f, layout->n_frames - f))
            break;
        if (shard_frame_read(layout, f, plain, error) < 0)
            return -1;
        *first = f;
        if (is_index_header(plain, frame->plain_bytes))
            return 0;
        if (f < layout->n_frames - 1 && frame->plain_bytes != FRAME_BYTES)
            break;
    }
    return shard_damaged(layout, error, "its index is missing");
}

// 11 octal digits
static size_t tar_size(const char *header)
{
    size_t size = 0;
    for (const char *digit = header + 124; digit < header + 135 && *digit >= '0' && *digit <= '7'; digit++)
        size = 8 * size + (size_t)(*digit - '0');
    return size;
}

// plain: the first frame, then scratch.
static int read_index(ShardLayout *layout, int64_t first, char *plain, Error *error)
{
    size_t n_bytes = tar_size(plain), done = 0;
    if (shard_member_frames(n_bytes) != layout->n_frames - first)
        return shard_damaged(layout, error, "its index is cut off");
    if (!(layout->index = mem_try_alloc(n_bytes + 1, 1, layout->path, error)))
        return -1;
    for (int64_t f = first; f < layout->n_frames; f++) {
        size_t offset = f == first ? TAR_BLOCK : 0, there = layout->frames[f].plain_bytes - offset;
        size_t piece = n_bytes - done < there ? n_bytes - done : there;
        if (f > first && shard_frame_read(layout, f, plain, error) < 0)
            return -1;
        memcpy(layout->index + done, plain + offset, piece);
        done += piece;
    }
    layout->index[done] = '\0';
    return done == n_bytes ? 0 : shard_damaged(layout, error, "its index is cut off");
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
    long long number = field && *field >= '0' && *field <= '9' ? strtoll(field, &end, 10) : -1;
    return end && !*end && number >= 0 ? number : -1;
}

static int parse_index(ShardLayout *layout, Error *error)
{
    char *text = layout->index;
    size_t header = strlen(SHARD_INDEX_HEADER);
    if (strncmp(text, SHARD_INDEX_HEADER, header) != 0)
        return shard_damaged(layout, error, "its index has another form");
    text += header;
    int64_t n_lines = 0;
    for (const char *c = text; *c; c++)
        n_lines += *c == '\n';
    layout->members = mem_try_alloc((size_t)n_lines, sizeof *layout->members, layout->path, error);
    if (!layout->members)
        return -1;
    for (; layout->n_members < n_lines; layout->n_members++) {
        char *name = next_field(&text, '\t');
        int64_t n_bytes = name ? field_number(next_field(&text, '\t')) : -1;
        int64_t frame = n_bytes >= 0 ? field_number(next_field(&text, '\t')) : -1;
        int64_t offset = frame >= 0 ? field_number(next_field(&text, '\n')) : -1;
        if (offset < 0)
            return shard_damaged(layout, error, "its index has another form");
        layout->members[layout->n_members] = (ShardMember){name, (size_t)n_bytes, frame, (size_t)offset};
    }
    return *text ? shard_damaged(layout, error, "its index has another form") : 0;
}

// ---- the members -----------------------------------------------------------------------------------------

// Whether the frames of a member are as the writer fills them: the data begin at `offset` in the first, each
// frame takes up to FRAME_BYTES of them, the last one is padded to whole blocks and holds `tail` more.
static bool fills_frames(const ShardLayout *layout, const ShardMember *member, size_t tail)
{
    int64_t n_frames = shard_member_frames(member->n_bytes);
    if (n_frames > layout->n_frames - member->frame || member->offset > FRAME_BYTES)
        return false;
    size_t left = member->n_bytes, padding = (TAR_BLOCK - member->n_bytes % TAR_BLOCK) % TAR_BLOCK;
    for (int64_t f = 0; f < n_frames; f++) {
        size_t piece = left < FRAME_BYTES ? left : FRAME_BYTES;
        left -= piece;
        size_t wanted = piece + (f == 0 ? member->offset : 0) + (f == n_frames - 1 ? padding + tail : 0);
        if (layout->frames[member->frame + f].plain_bytes != wanted)
            return false;
    }
    return true;
}

bool shard_name_is_safe(const char *name)
{
    bool safe = name[0] != '/';
    for (const char *part = name; part && safe; part = strchr(part, '/')) {
        part += *part == '/';
        safe = !(strcspn(part, "/") == 2 && part[0] == '.' && part[1] == '.');
    }
    return safe;
}

static int check_members(const ShardLayout *layout, int64_t index_frame, Error *error)
{
    int64_t frame = 0;
    for (int64_t m = 0; m < layout->n_members; m++) {
        const ShardMember *member = &layout->members[m];
        if (member->frame != frame || member->frame >= index_frame || !fills_frames(layout, member, 0))
            return shard_damaged(layout, error, "its index does not fit its frames");
        if (!shard_name_is_safe(member->name))
            return error_set(error,
                             "%s: the name %.200s leads out of the folder that it would be unpacked in",
                             layout->path, member->name);
        frame += shard_member_frames(member->n_bytes);
    }
    return frame == index_frame ? 0 : shard_damaged(layout, error, "its index does not fit its frames");
}

static int compare_names(const void *left, const void *right, void *members)
{
    const ShardMember *all = members;
    return strcmp(all[*(const int64_t *)left].name, all[*(const int64_t *)right].name);
}

static int sort_names(ShardLayout *layout, Error *error)
{
    size_t n = (size_t)layout->n_members;
    if (!(layout->by_name = mem_try_alloc(n, sizeof *layout->by_name, layout->path, error)))
        return -1;
    for (size_t m = 0; m < n; m++)
        layout->by_name[m] = (int64_t)m;
    qsort_r(layout->by_name, n, sizeof *layout->by_name, compare_names, layout->members);
    for (size_t m = 1; m < n; m++)
        if (compare_names(&layout->by_name[m - 1], &layout->by_name[m], layout->members) == 0)
            return error_set(error, "%s holds %.200s twice", layout->path,
                             layout->members[layout->by_name[m]].name);
    return 0;
}

// A file of another kind is called so.
static int check_magic(const ShardLayout *layout, Error *error)
{
    unsigned char magic[4] = {0};
    if (random_file_bytes(layout->file) < (int64_t)sizeof magic)
        return strange_file_refuse(layout->path, error) < 0 ? -1
                                                            : shard_damaged(layout, error, "it is too short");
    if (random_file_read(layout->file, 0, magic, sizeof magic, error) < 0)
        return -1;
    if (load_u32(magic) == ZSTD_MAGICNUMBER)
        return 0;
    return strange_file_refuse(layout->path, error) < 0
               ? -1
               : error_set(error, "%s is no shard of voxloop's: its first bytes are not zstd's",
                           layout->path);
}

int shard_layout_load(ShardLayout *layout, Error *error)
{
    int64_t first = 0;
    if (check_magic(layout, error) < 0 || read_seek_table(layout, error) < 0)
        return -1;
    char *plain = mem_alloc(PLAIN_MOST, 1);
    int status = find_index(layout, plain, &first, error);
    if (status == 0)
        status = read_index(layout, first, plain, error);
    mem_free(plain);
    if (status == 0)
        status = parse_index(layout, error);
    if (status == 0)
        status = check_members(layout, first, error);
    return status == 0 ? sort_names(layout, error) : -1;
}

void shard_layout_release(ShardLayout *layout)
{
    mem_free(layout->frames);
    mem_free(layout->index);
    mem_free(layout->members);
    mem_free(layout->by_name);
}
