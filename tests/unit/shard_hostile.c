// Shards from strangers: built frame by frame, each of them lying in one way. Every one is refused with a
// sentence, at once and without much memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <zstd.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/text_buffer.h"
#include "cache/shard.h"
#include "cache/shard_format.h"
#include "damage.h"

static char *folder, *path;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    path = path_join(folder, "x.tar.zst");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    mem_free(path);
    return 0;
}

// ---- a shard by hand -------------------------------------------------------------------------------------

typedef struct Forged {
    TextBuffer file, table, index;
    int64_t n_frames;
} Forged;

static Forged forge_begin(void)
{
    Forged forged = {0};
    buffer_printf(&forged.index, "%s", SHARD_INDEX_HEADER);
    return forged;
}

static void add_frame(Forged *forged, const void *plain, size_t n_bytes, int64_t times)
{
    size_t capacity = ZSTD_compressBound(n_bytes);
    char *packed = mem_alloc(capacity, 1);
    size_t n_packed = ZSTD_compress(packed, capacity, plain, n_bytes, 1);
    unsigned char entry[SEEK_ENTRY_BYTES];
    store_u32(entry, (uint32_t)n_packed);
    store_u32(entry + 4, (uint32_t)n_bytes);
    for (int64_t i = 0; i < times; i++) {
        buffer_add(&forged->file, packed, n_packed);
        buffer_add(&forged->table, entry, sizeof entry);
    }
    forged->n_frames += times;
    mem_free(packed);
}

static void put_header(char block[TAR_BLOCK], const char *name, size_t n_bytes)
{
    memset(block, 0, TAR_BLOCK);
    snprintf(block, 100, "%s", name);
    snprintf(block + 124, 12, "%011zo", n_bytes);
    memcpy(block + 257, "ustar\00000", 8);
}

// A small member of zeros with its line of the index.
static void add_member(Forged *forged, const char *name)
{
    char frame[2 * TAR_BLOCK] = {0};
    put_header(frame, name, TAR_BLOCK);
    buffer_printf(&forged->index, "%s\t%d\t%lld\t%d\n", name, TAR_BLOCK, (long long)forged->n_frames,
                  TAR_BLOCK);
    add_frame(forged, frame, sizeof frame, 1);
}

// A member of so many full frames of zeros.
static void add_zeros(Forged *forged, const char *name, int64_t n_frames)
{
    char *frame = mem_zero(TAR_BLOCK + FRAME_BYTES, 1);
    size_t n_bytes = (size_t)n_frames * FRAME_BYTES;
    put_header(frame, name, n_bytes);
    buffer_printf(&forged->index, "%s\t%zu\t%lld\t%d\n", name, n_bytes, (long long)forged->n_frames,
                  TAR_BLOCK);
    add_frame(forged, frame, TAR_BLOCK + FRAME_BYTES, 1);
    memset(frame, 0, TAR_BLOCK);
    add_frame(forged, frame, FRAME_BYTES, n_frames - 1);
    mem_free(frame);
}

// The index as the writer leaves it, cut into frames.
static void add_index(Forged *forged)
{
    const TextBuffer *index = &forged->index;
    size_t padding = (TAR_BLOCK - index->n_bytes % TAR_BLOCK) % TAR_BLOCK;
    TextBuffer plain = {0};
    char header[TAR_BLOCK], zeros[3 * TAR_BLOCK] = {0};
    put_header(header, SHARD_INDEX_NAME, index->n_bytes);
    buffer_add(&plain, header, TAR_BLOCK);
    size_t done = 0;
    do {
        size_t piece = index->n_bytes - done < FRAME_BYTES ? index->n_bytes - done : FRAME_BYTES;
        buffer_add(&plain, index->data + done, piece);
        done += piece;
        if (done == index->n_bytes)
            buffer_add(&plain, zeros, padding + 2 * TAR_BLOCK);
        add_frame(forged, plain.data, plain.n_bytes, 1);
        plain.n_bytes = 0;
    } while (done < index->n_bytes);
    buffer_release(&plain);
}

static void forge_end(Forged *forged)
{
    unsigned char head[SKIPPABLE_HEADER_BYTES], foot[SEEK_FOOTER_BYTES] = {0};
    store_u32(head, SKIPPABLE_MAGIC);
    store_u32(head + 4, (uint32_t)(forged->table.n_bytes + SEEK_FOOTER_BYTES));
    store_u32(foot, (uint32_t)forged->n_frames);
    store_u32(foot + 5, SEEKABLE_MAGIC);
    buffer_add(&forged->file, head, sizeof head);
    buffer_add(&forged->file, forged->table.data, forged->table.n_bytes);
    buffer_add(&forged->file, foot, sizeof foot);
    scratch_write(path, forged->file.data, forged->file.n_bytes);
    buffer_release(&forged->file);
    buffer_release(&forged->table);
    buffer_release(&forged->index);
}

// ---- what is asked of a reader ---------------------------------------------------------------------------

enum { SECONDS_MOST = 10, REFUSED = 0, OPENED = 1 };

// Opens the file, and loads `name` where that is not NULL, in a process of 1 GiB (under a sanitizer without
// that limit) and few seconds.
static int try_shard(const char *name, const char *reason)
{
    Error error = {0};
    alarm(SECONDS_MOST);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    setrlimit(RLIMIT_AS, &(struct rlimit){1 << 30, 1 << 30});
#endif
    ShardReader *reader = shard_reader_open(path, &error);
    char *data;
    int status =
        reader && (!name || shard_reader_load(reader, name, &data, NULL, &error) == 0) ? OPENED : REFUSED;
    if (status == REFUSED && (!strstr(error.text, reason) || !strstr(error.text, path)))
        status = 2;
    return status;
}

static void expect(int wanted, const char *name, const char *reason)
{
    pid_t child = fork();
    if (child == 0)
        _exit(try_shard(name, reason));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != wanted)
        fail_msg("%s: ended with %x, not %d", reason, status, wanted);
}

static void test_forged_like_ours(void **state)
{
    (void)state;
    Forged forged = forge_begin();
    add_member(&forged, "a");
    add_zeros(&forged, "b", 3);
    add_member(&forged, "c/d..e");
    add_index(&forged);
    forge_end(&forged);
    expect(OPENED, "b", "as the writer would");
}

// 400 KB that are 4 GiB.
static void test_bomb(void **state)
{
    (void)state;
    Forged forged = forge_begin();
    add_zeros(&forged, "embeddings.npy", 4096);
    add_member(&forged, "utts.txt");
    add_index(&forged);
    forge_end(&forged);
    expect(OPENED, "utts.txt", "the rest of it can be read");
    expect(REFUSED, "embeddings.npy", "a thousand times its size");
}

// Frames that an index could have, without the header that begins one.
static void test_endless_index(void **state)
{
    (void)state;
    Forged forged = forge_begin();
    char *zeros = mem_zero(FRAME_BYTES, 1);
    add_frame(&forged, zeros, FRAME_BYTES, 20000);
    mem_free(zeros);
    forge_end(&forged);
    expect(REFUSED, NULL, "its index is missing");
}

// As many members as frames, which a reader could compare each with each.
static void test_many_members(void **state)
{
    (void)state;
    enum { MEMBERS = 100000 };
    Forged forged = forge_begin();
    char frame[TAR_BLOCK] = {0};
    put_header(frame, "m", 0);
    for (int64_t i = 0; i < MEMBERS; i++)
        buffer_printf(&forged.index, "m%lld\t0\t%lld\t%d\n", (long long)i, (long long)i, TAR_BLOCK);
    add_frame(&forged, frame, TAR_BLOCK, MEMBERS);
    add_index(&forged);
    forge_end(&forged);
    expect(OPENED, NULL, "many members");

    forged = forge_begin();
    for (int64_t i = 0; i < MEMBERS; i++)
        buffer_printf(&forged.index, "m%lld\t%d\t0\t0\n", (long long)i, MEMBERS * TAR_BLOCK);
    add_frame(&forged, frame, TAR_BLOCK, MEMBERS);
    add_index(&forged);
    forge_end(&forged);
    expect(REFUSED, NULL, "its index does not fit its frames");
}

static void expect_name(int wanted, const char *name, const char *reason)
{
    Forged forged = forge_begin();
    add_member(&forged, "first");
    add_member(&forged, name);
    add_index(&forged);
    forge_end(&forged);
    expect(wanted, NULL, reason);
}

static void test_names(void **state)
{
    (void)state;
    const char *const leave[] = {"/etc/passwd", "..", "../x", "a/../../b", "a/.."};
    Error error = {0};
    for (size_t i = 0; i < sizeof leave / sizeof leave[0]; i++) {
        expect_name(REFUSED, leave[i], "leads out of the folder");
        char *other = path_join(folder, "w.tar.zst");
        ShardWriter *writer = shard_writer_create(other, 1, &error);
        assert_int_equal(shard_writer_add(writer, leave[i], "x", 1, &error), -1);
        error_clear(&error);
        shard_writer_abandon(writer);
        mem_free(other);
    }
    expect_name(OPENED, "a/...b/..c", "dots that lead nowhere");
    expect_name(REFUSED, "first", "twice");
    expect_name(REFUSED, "x\ty", "its index");
}

// Sizes that are not those of the frames, whatever else fits.
static void test_lying_index(void **state)
{
    (void)state;
    const char *const lines[] = {"m\t513\t0\t512\n",
                                 "m\t512\t0\t0\n",
                                 "m\t512\t0\t513\n",
                                 "m\t512\t1\t512\n",
                                 "m\t512\t-1\t512\n",
                                 "m\t9223372036854775807\t0\t512\n",
                                 "m\t99999999999999999999\t0\t512\n",
                                 "m\t512\t0\t9223372036854775807\n",
                                 "m\t512\t0\t512",
                                 "m\t512\t0\n",
                                 "m\n",
                                 "",
                                 "m\t512\t0\t512\nn\t512\t0\t512\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        Forged forged = forge_begin();
        char frame[2 * TAR_BLOCK] = {0};
        put_header(frame, "m", TAR_BLOCK);
        add_frame(&forged, frame, sizeof frame, 1);
        buffer_printf(&forged.index, "%s", lines[i]);
        add_index(&forged);
        forge_end(&forged);
        expect(REFUSED, NULL, "its index");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forged_like_ours),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_endless_index),
        cmocka_unit_test(test_many_members),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_lying_index),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
