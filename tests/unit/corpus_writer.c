// A corpus that was interrupted goes on behind its finished shards and ends in the same bytes, whatever has
// become of the files that say how far it was.
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/corpus.h"
#include "cache/corpus_part.h"
#include "cache/corpus_writer.h"
#include "damage.h"

enum { N_SOURCES = 7, N_SAMPLES = 500 };
#define RECIPE "a recipe"
#define SHARD  "audio-00001.tar.zst"

static char *folder, *part, *shard;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    part = path_join(folder, ".audio-00001.part");
    shard = path_join(folder, SHARD);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    mem_free(part);
    mem_free(shard);
    return 0;
}

static CorpusWriter *open_writer(int64_t *n_done)
{
    Error error = {0};
    CorpusWriter *writer = corpus_writer_open(
        &(CorpusWriterOptions){
            .folder = folder, .recipe = RECIPE, .shard_bytes = 1500, .compression_level = 1},
        n_done, &error);
    if (!writer)
        fail_msg("%s", error.text);
    return writer;
}

// Sources 2 and 5 are rejected; two utterances fill a shard.
static void add_source(CorpusWriter *writer, int64_t i)
{
    int16_t samples[N_SAMPLES];
    char utt[16];
    for (int t = 0; t < N_SAMPLES; t++)
        samples[t] = (int16_t)(t * 31 + i * 1000);
    snprintf(utt, sizeof utt, "u%" PRId64, i);
    if (i % 3 == 2)
        corpus_writer_reject(writer, utt, "of no use");
    else
        assert_int_equal(corpus_writer_add(writer, utt, samples, N_SAMPLES, NULL), 0);
}

static void write_sources(CorpusWriter *writer, int64_t from, int64_t end)
{
    for (int64_t i = from; i < end; i++)
        add_source(writer, i);
}

static char *read_file(const char *name, size_t *n_bytes)
{
    char *path = path_join(folder, name), *data;
    assert_int_equal(file_read(path, &data, n_bytes, NULL), 0);
    mem_free(path);
    return data;
}

static const char *const FILES[] = {"utts.tsv", "rejects.tsv",        "shards.tsv", "audio-00000.tar.zst",
                                    SHARD,      "audio-00002.tar.zst"};
enum { N_FILES = sizeof FILES / sizeof FILES[0] };
static char *wanted[N_FILES];
static size_t wanted_bytes[N_FILES];

static void test_whole(void **state)
{
    (void)state;
    int64_t n_done;
    CorpusWriter *writer = open_writer(&n_done);
    assert_int_equal(n_done, 0);
    write_sources(writer, 0, N_SOURCES);
    assert_int_equal(corpus_writer_commit(writer, NULL), 0);
    for (int f = 0; f < N_FILES; f++)
        wanted[f] = read_file(FILES[f], &wanted_bytes[f]);
}

// Goes on from where the folder says it is, and compares the end.
static int64_t finish(void)
{
    int64_t n_done;
    CorpusWriter *writer = open_writer(&n_done);
    write_sources(writer, n_done, N_SOURCES);
    assert_int_equal(corpus_writer_commit(writer, NULL), 0);
    for (int f = 0; f < N_FILES; f++) {
        size_t n_bytes;
        char *data = read_file(FILES[f], &n_bytes);
        if (n_bytes != wanted_bytes[f] || memcmp(data, wanted[f], n_bytes) != 0)
            fail_msg("%s ended in other bytes after going on from source %" PRId64, FILES[f], n_done);
        mem_free(data);
    }
    return n_done;
}

// As a killed run leaves it: shards 0 and 1 are finished.
static void interrupt_it(void)
{
    int64_t n_done;
    char *command = mem_printf("rm -f %s/* %s/.audio*", folder, folder);
    assert_int_equal(system(command), 0);
    mem_free(command);
    CorpusWriter *writer = open_writer(&n_done);
    write_sources(writer, 0, N_SOURCES);
    corpus_writer_abandon(writer);
}

static int64_t n_whole, n_at_first;

static void test_goes_on(void **state)
{
    (void)state;
    interrupt_it();
    n_whole = finish();
    assert_true(n_whole >= 4);
    interrupt_it();
    assert_int_equal(unlink(part), 0);
    n_at_first = finish();
    assert_true(n_at_first >= 2 && n_at_first < n_whole);
}

typedef struct Whole {
    char *data;
    size_t n_bytes;
} Whole;

static void visit(const char *path, void *context, const char *what)
{
    const Whole *whole = context;
    int64_t n_done;
    corpus_writer_abandon(open_writer(&n_done)); // which removes it
    if (whole)
        scratch_write(path, whole->data, whole->n_bytes);
    if (n_done != n_at_first)
        fail_msg("a part with %s was believed", what);
}

static void test_damaged_part(void **state)
{
    (void)state;
    interrupt_it();
    Whole whole;
    whole.data = read_file(".audio-00001.part", &whole.n_bytes);
    damage_each_bit(part, whole.data, whole.n_bytes, 0, 1, visit, &whole);
    damage_each_cut(part, whole.data, whole.n_bytes, 1, visit, NULL);
    assert_int_equal(finish(), n_at_first);
    mem_free(whole.data);
}

// Forged by somebody who knows how: it must still say what the shard says.
static void test_forged_part(void **state)
{
    (void)state;
    interrupt_it();
    CorpusPart true_part;
    assert_true(corpus_part_load(part, shard, RECIPE, n_at_first, &true_part));
    char *row = mem_strdup(true_part.shard_row);
    assert_int_equal(true_part.n, 3);
    corpus_part_release(&true_part);
#define U3 "+u3\t" SHARD "\t500\n"
#define U4 "+u4\t" SHARD "\t500\n"
#define R5 "-u5\tof no use\n"
    static const char *const forged[] = {"+u3\n" U4 R5,
                                         "+\n" U4 R5,
                                         "\n" U4 R5,
                                         "+u3\t" SHARD "\t499\n" U4 R5,
                                         "+u3\t" SHARD "\t-500\n" U4 R5,
                                         "+u3\t" SHARD "\t18446744073709552116\n" U4 R5,
                                         "+u3\t" SHARD "\t\n" U4 R5,
                                         "+u3\t" SHARD "\t500\t\n" U4 R5,
                                         "+u3\taudio-00000.tar.zst\t500\n" U4 R5,
                                         "+../u3\t" SHARD "\t500\n" U4 R5,
                                         U4 U4 R5 "-u5\n",
                                         U3 R5 R5,
                                         U3 U4,
                                         U3 U4 R5 R5,
                                         U3 U4 "-\t\n",
                                         U3 U4 "u5\tof no use\n",
                                         ""};
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        assert_int_equal(corpus_part_publish(part, RECIPE, n_at_first + 3, row, forged[i], NULL), 0);
        visit(part, NULL, forged[i]);
    }
    static const char *const rows[] = {"",
                                       "\t",
                                       SHARD,
                                       SHARD "\t1\t0123456789abcdef",
                                       "audio-00000.tar.zst\t1\t0123456789abcdef",
                                       SHARD "\t-1\t0123456789abcdef",
                                       SHARD "\t1"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(corpus_part_publish(part, RECIPE, n_at_first + 3, rows[i], U3 U4 R5, NULL), 0);
        visit(part, NULL, rows[i]);
    }
    assert_int_equal(corpus_part_publish(part, RECIPE, n_at_first + 3, row, U3 U4 R5, NULL), 0);
    assert_int_equal(finish(), n_whole);
    for (int f = 0; f < N_FILES; f++)
        mem_free(wanted[f]);
    mem_free(row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_goes_on),
                                       cmocka_unit_test(test_damaged_part),
                                       cmocka_unit_test(test_forged_part)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
