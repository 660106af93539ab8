// Shards: what goes in comes out, GNU tar agrees, and no damaged byte gets through.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/folder_walk.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cache/shard.h"
#include "damage.h"

enum { LONG_BYTES = (5 << 20) / 2 }; // a member of three frames

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

typedef struct Content {
    char *names[4];
    char *data[4];
    size_t sizes[4];
} Content;

// An empty member, a short one, one with a long name, and one of several frames, of compressible noise.
static Content content_create(size_t long_bytes)
{
    Content content = {.sizes = {0, 11, 700, long_bytes}};
    Rng rng = rng_stream(1, "shard test", 0, 0);
    content.names[0] = mem_strdup("empty");
    content.names[1] = mem_strdup("a/b.wav");
    content.names[2] = mem_printf("%0150d/x.wav", 7);
    content.names[3] = mem_strdup("\xc3\xa4 long.wav");
    for (int m = 0; m < 4; m++) {
        content.data[m] = mem_alloc(content.sizes[m], 1);
        for (size_t i = 0; i < content.sizes[m]; i++)
            content.data[m][i] = (char)rng_below(&rng, 16);
    }
    return content;
}

static void content_release(Content *content)
{
    for (int m = 0; m < 4; m++) {
        mem_free(content->names[m]);
        mem_free(content->data[m]);
    }
}

static void publish(const Content *content)
{
    remove(path);
    Error error = {0};
    ShardWriter *writer = shard_writer_create(path, 1, &error);
    assert_non_null(writer);
    for (int m = 0; m < 4; m++)
        assert_int_equal(
            shard_writer_add(writer, content->names[m], content->data[m], content->sizes[m], &error), 0);
    assert_false(file_exists(path));
    assert_int_equal(shard_writer_commit(writer, &error), 0);
}

static void test_round_trip(void **state)
{
    (void)state;
    Content content = content_create(LONG_BYTES);
    publish(&content);
    Error error = {0};
    ShardReader *reader = shard_reader_open(path, &error);
    assert_non_null(reader);
    assert_int_equal(shard_reader_count(reader), 4);
    for (int m = 0; m < 4; m++) {
        char *data;
        size_t n_bytes;
        assert_string_equal(shard_reader_name(reader, m), content.names[m]);
        assert_int_equal(shard_reader_find(reader, content.names[m]), m);
        assert_int_equal(shard_reader_load(reader, content.names[m], &data, &n_bytes, &error), 0);
        assert_int_equal(n_bytes, content.sizes[m]);
        assert_memory_equal(data, content.data[m], n_bytes);
        mem_free(data);
    }
    char *data;
    assert_int_equal(shard_reader_load(reader, "b", &data, NULL, &error), -1);
    assert_non_null(strstr(error.text, "holds no b"));
    shard_reader_close(reader);
    content_release(&content);
}

static void test_ranges(void **state)
{
    (void)state;
    Content content = content_create(LONG_BYTES);
    publish(&content);
    Error error = {0};
    ShardReader *reader = shard_reader_open(path, &error);
    char *data = mem_alloc(LONG_BYTES, 1);
    Rng rng = rng_stream(2, "shard ranges", 0, 0);
    for (int i = 0; i < 200; i++) {
        size_t start = rng_below(&rng, LONG_BYTES + 1), n_bytes = rng_below(&rng, LONG_BYTES - start + 1);
        assert_int_equal(shard_reader_read(reader, 3, start, n_bytes, data, &error), 0);
        assert_memory_equal(data, content.data[3] + start, n_bytes);
    }
    assert_int_equal(shard_reader_read(reader, 3, LONG_BYTES, 1, data, &error), -1);
    assert_int_equal(shard_reader_read(reader, 3, SIZE_MAX, 2, data, NULL), -1);
    mem_free(data);
    shard_reader_close(reader);
    content_release(&content);
}

static void test_tar_agrees(void **state)
{
    (void)state;
    if (system("tar --zstd --version >/dev/null 2>&1") != 0) {
        print_message("SKIPPED: no GNU tar with --zstd here\n");
        skip();
    }
    Content content = content_create(LONG_BYTES);
    publish(&content);
    char *command = mem_printf("cd %s && tar --zstd -xf x.tar.zst && zstd -qt x.tar.zst", folder);
    assert_int_equal(system(command), 0);
    mem_free(command);
    for (int m = 0; m < 4; m++) {
        char *member = path_join(folder, content.names[m]), *data;
        size_t n_bytes;
        assert_int_equal(file_read(member, &data, &n_bytes, NULL), 0);
        assert_int_equal(n_bytes, content.sizes[m]);
        assert_memory_equal(data, content.data[m], n_bytes);
        mem_free(data);
        mem_free(member);
    }
    content_release(&content);
}

static void test_equal_contents_give_equal_bytes(void **state)
{
    (void)state;
    Content content = content_create(1000);
    char first[17], second[17];
    publish(&content);
    assert_int_equal(file_digest(path, first, NULL), 0);
    publish(&content);
    assert_int_equal(file_digest(path, second, NULL), 0);
    assert_string_equal(first, second);
    content_release(&content);
}

// Every byte that a reader does return is right; whatever it refuses, it names the file. Ranges from the
// middle are read first: they skip frames without decompressing them.
static void right_or_refused(const char *damaged, void *context, const char *what)
{
    const Content *content = context;
    Error error = {0};
    ShardReader *reader = shard_reader_open(damaged, &error);
    char *data = mem_alloc(LONG_BYTES, 1);
    for (int64_t m = 0; reader && m < shard_reader_count(reader); m++) {
        size_t n_bytes = shard_reader_size(reader, m);
        if (m >= 4 || n_bytes != content->sizes[m] ||
            strcmp(shard_reader_name(reader, m), content->names[m]) != 0)
            fail_msg("another member with %s", what);
        size_t middle = n_bytes - n_bytes / 4;
        if (shard_reader_read(reader, m, middle, n_bytes - middle, data, &error) == 0 &&
            memcmp(data, content->data[m] + middle, n_bytes - middle) != 0)
            fail_msg("wrong bytes from the middle of %s with %s", content->names[m], what);
        if (shard_reader_read(reader, m, 0, n_bytes, data, &error) == 0 &&
            memcmp(data, content->data[m], n_bytes) != 0)
            fail_msg("wrong bytes of %s with %s", content->names[m], what);
    }
    if (!reader && !strstr(error.text, damaged))
        fail_msg("no file named with %s: %s", what, error.text);
    mem_free(data);
    shard_reader_close(reader);
}

static void must_be_refused(const char *damaged, void *context, const char *what)
{
    (void)context;
    ShardReader *reader = shard_reader_open(damaged, NULL);
    if (reader)
        fail_msg("opened when %s", what);
}

// Flips every stride-th bit, and every third of the last `tail` bytes (index and seek table).
static void damage(size_t long_bytes, size_t tail, size_t stride)
{
    Content content = content_create(long_bytes);
    publish(&content);
    char *whole;
    size_t n_bytes;
    assert_int_equal(file_read(path, &whole, &n_bytes, NULL), 0);
    damage_each_bit(path, whole, n_bytes, 0, stride, right_or_refused, &content);
    damage_each_bit(path, whole, n_bytes, n_bytes - tail, 3, right_or_refused, &content);
    mem_free(whole);
    content_release(&content);
}

static void test_flips_in_a_small_shard(void **state)
{
    (void)state;
    damage(1500, 0, 3);
}

static void test_flips_in_a_long_member(void **state)
{
    (void)state;
    damage(LONG_BYTES, 80, 4000003);
}

static void test_cuts(void **state)
{
    (void)state;
    Content content = content_create(1500);
    publish(&content);
    char *whole;
    size_t n_bytes;
    assert_int_equal(file_read(path, &whole, &n_bytes, NULL), 0);
    damage_each_cut(path, whole, n_bytes, 1, must_be_refused, NULL);
    mem_free(whole);
    content_release(&content);
}

static void test_abandoned_leaves_nothing(void **state)
{
    (void)state;
    Error error = {0};
    char *other = path_join(folder, "y.tar.zst");
    FolderWalk before, after;
    assert_int_equal(folder_walk(folder, &before, &error), 0);
    ShardWriter *writer = shard_writer_create(other, 1, &error);
    assert_int_equal(shard_writer_add(writer, "x", "y", 1, &error), 0);
    assert_int_equal(shard_writer_add(writer, "x\ny", "y", 1, &error), -1);
    shard_writer_abandon(writer);
    assert_int_equal(folder_walk(folder, &after, &error), 0);
    assert_int_equal(before.n, after.n);
    folder_walk_release(&before);
    folder_walk_release(&after);
    mem_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_tar_agrees),
        cmocka_unit_test(test_equal_contents_give_equal_bytes),
        cmocka_unit_test(test_flips_in_a_small_shard),
        cmocka_unit_test(test_flips_in_a_long_member),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_abandoned_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
