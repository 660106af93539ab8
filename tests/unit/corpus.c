// A prepared audio folder: reading ranges, from several threads, and tables that do not fit their shards.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "cache/corpus.h"
#include "cache/corpus_writer.h"
#include "cache/pieces.h"
#include "cache/shard.h"
#include "damage.h"

enum { WAV_HEADER_BYTES = 44, N_UTTS = 3 };
static const int64_t SAMPLES[N_UTTS] = {16000, 1, 600000}; // the last spans two frames
static const char *const UTTS[N_UTTS] = {"a/1.flac", "a/2.flac", "b.wav"};

static char *folder;

static int16_t sample_at(int utt, int64_t t)
{
    return (int16_t)((t * 7919 + utt * 104729) % 65536 - 32768);
}

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    char *path = path_join(folder, "audio-00000.tar.zst");
    ShardWriter *writer = shard_writer_create(path, 1, NULL);
    for (int u = 0; u < N_UTTS; u++) {
        size_t n_bytes = WAV_HEADER_BYTES + 2 * (size_t)SAMPLES[u];
        char *wav = mem_zero(n_bytes, 1), *name = mem_printf("%s.wav", UTTS[u]);
        for (int64_t t = 0; t < SAMPLES[u]; t++) {
            int16_t sample = sample_at(u, t);
            memcpy(wav + WAV_HEADER_BYTES + 2 * t, &sample, 2);
        }
        assert_int_equal(shard_writer_add(writer, name, wav, n_bytes, NULL), 0);
        mem_free(name);
        mem_free(wav);
    }
    mem_free(path);
    return shard_writer_commit(writer, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

#define ROW_0 "a/1.flac\taudio-00000.tar.zst\t16000\n"
#define ROW_1 "a/2.flac\taudio-00000.tar.zst\t1\n"
#define ROW_2 "b.wav\taudio-00000.tar.zst\t600000\n"
#define TITLE "utt\tshard\tsamples\n"

static Corpus *open_with(const char *table, Error *error)
{
    char *path = path_join(folder, "utts.tsv");
    scratch_write(path, table, strlen(table));
    mem_free(path);
    return corpus_open(folder, error);
}

static void test_read(void **state)
{
    (void)state;
    Error error = {0};
    Corpus *corpus = open_with(TITLE ROW_0 ROW_1 ROW_2, &error);
    if (!corpus)
        fail_msg("%s", error.text);
    assert_int_equal(corpus_count(corpus), N_UTTS);
    assert_int_equal(corpus_find(corpus, "b.wav"), 2);
    assert_int_equal(corpus_find(corpus, "c.wav"), -1);
    int64_t wrong = 0;
#pragma omp parallel for reduction(+ : wrong)
    for (int i = 0; i < 60; i++) {
        float samples[1000];
        int64_t start = i * 9983, count = 1000;
        wrong += corpus_read(corpus, 2, start, count, samples, NULL) != 0;
        for (int64_t t = 0; t < count; t++)
            wrong += samples[t] != (float)sample_at(2, start + t) / 32768.0f;
    }
    assert_int_equal(wrong, 0);
    float one;
    assert_int_equal(corpus_read(corpus, 1, 0, 1, &one, &error), 0);
    assert_int_equal(corpus_read(corpus, 1, 1, 1, &one, &error), -1);
    assert_non_null(strstr(error.text, "a/2.flac has 1 samples"));
    assert_int_equal(corpus_read(corpus, 1, -1, 1, &one, NULL), -1);
    assert_int_equal(corpus_read(corpus, 1, 0, INT64_MAX, &one, NULL), -1);
    corpus_close(corpus);
}

static void test_bad_tables(void **state)
{
    (void)state;
    static const struct {
        const char *table, *reason;
    } cases[] = {
        {"", "lists no utterances"},
        {TITLE, "lists no utterances"},
        {TITLE ROW_1 ROW_0, "utts.tsv:3: the utterances are not sorted"},
        {TITLE ROW_0 ROW_0, "utts.tsv:3: the utterances are not sorted"},
        {TITLE "a/1.flac\taudio-00000.tar.zst\n", "utts.tsv:2: expected"},
        {TITLE "a/1.flac\taudio-00000.tar.zst\tmany\n", "utts.tsv:2: expected"},
        {TITLE "a/1.flac\taudio-00000.tar.zst\t15999\n", "does not hold a/1.flac.wav with 15999"},
        {TITLE "a/3.flac\taudio-00000.tar.zst\t1\n", "does not hold a/3.flac.wav"},
        {TITLE "a/1.flac\t../audio-00000.tar.zst\t16000\n", "is no shard of this folder"},
        {TITLE "a/1.flac\taudio-00001.tar.zst\t16000\n", "audio-00001.tar.zst"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Error error = {0};
        assert_null(open_with(cases[i].table, &error));
        if (!strstr(error.text, cases[i].reason))
            fail_msg("%s: %s", cases[i].table, error.text);
    }
    Error error = {0};
    assert_null(corpus_open("/dev/null/none", &error));
    assert_non_null(strstr(error.text, "voxloop-prepare"));
}

static void expect_piece(Piece piece, int64_t utt, int64_t start, int64_t n_samples)
{
    assert_int_equal(piece.utt, utt);
    assert_int_equal(piece.start, start);
    assert_int_equal(piece.n_samples, n_samples);
}

static void test_pieces(void **state)
{
    (void)state;
    Error error = {0};
    Corpus *corpus = open_with(TITLE ROW_0 ROW_1 ROW_2, &error);
    assert_non_null(corpus);
    Piece piece;
    assert_int_equal(piece_find(corpus, "a/1.flac", &piece), 0);
    expect_piece(piece, 0, 0, 16000);
    assert_int_equal(piece_find(corpus, "a/2.flac#1", &piece), 0);
    expect_piece(piece, 1, 0, 0);
    assert_int_equal(piece_find(corpus, "a/2.flac#2", &piece), 0);
    expect_piece(piece, 1, 0, 1);
    assert_int_equal(piece_find(corpus, "b.wav#2", &piece), 0);
    expect_piece(piece, 2, 300000, 300000);
    assert_int_equal(piece_find(corpus, "b.wav#3", &piece), -1);
    expect_piece(piece_of_crops(corpus, 0, 0, 3, 10000), 0, 0, 10000);
    expect_piece(piece_of_crops(corpus, 0, 1, 3, 10000), 0, 3000, 10000);
    expect_piece(piece_of_crops(corpus, 0, 2, 3, 10000), 0, 6000, 10000);
    expect_piece(piece_of_crops(corpus, 0, 0, 1, 10000), 0, 3000, 10000);
    expect_piece(piece_of_crops(corpus, 0, 2, 3, 20000), 0, 0, 16000);
    corpus_close(corpus);
}

// A corpus of more shards than the process may have files, as VoxCeleb's thousand under the usual limit.
static void test_more_shards_than_files(void **state)
{
    (void)state;
    enum { SHARDS = 90, FILES = 48, SHORT = 800 };
    Error error = {0};
    char *many = scratch_create();
    int64_t n_done;
    CorpusWriter *writer = corpus_writer_open(
        &(CorpusWriterOptions){.folder = many, .recipe = "r", .shard_bytes = 1, .compression_level = 1},
        &n_done, &error);
    assert_non_null(writer);
    int16_t samples[SHORT];
    for (int u = 0; u < SHARDS; u++) {
        char *utt = mem_printf("u%03d", u);
        for (int t = 0; t < SHORT; t++)
            samples[t] = sample_at(u, t);
        assert_int_equal(corpus_writer_add(writer, utt, samples, SHORT, &error), 0);
        mem_free(utt);
    }
    assert_int_equal(corpus_writer_commit(writer, &error), 0);
    struct rlimit before;
    getrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){FILES, before.rlim_max}), 0);
    Corpus *corpus = corpus_open(many, &error);
    if (!corpus)
        fail_msg("%s", error.text);
    int64_t wrong = 0;
#pragma omp parallel for reduction(+ : wrong)
    for (int i = 0; i < 20 * SHARDS; i++) {
        int u = i * 37 % SHARDS;
        float got[SHORT];
        wrong += corpus_read(corpus, u, 0, SHORT, got, NULL) != 0;
        for (int t = 0; t < SHORT; t++)
            wrong += got[t] != (float)sample_at(u, t) / 32768.0f;
    }
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(wrong, 0);
    corpus_close(corpus);
    scratch_remove(many);
}

// SIGTERM while thousands of shards are opened or a large file is read: it ends there, with the sentence.
static int interrupted(void)
{
    Error error = {0};
    char hex[17], *data;
    size_t n_bytes;
    interrupt_install();
    raise(SIGTERM);
    if (open_with(TITLE ROW_0 ROW_1 ROW_2, &error) || !strstr(error.text, "interrupted"))
        return 1;
    char *path = path_join(folder, "utts.tsv");
    error_clear(&error);
    if (file_digest(path, hex, &error) == 0 || !strstr(error.text, "interrupted"))
        return 2;
    error_clear(&error);
    return file_read(path, &data, &n_bytes, &error) == 0 || !strstr(error.text, "interrupted") ? 3 : 0;
}

static void test_interrupt(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(interrupted());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read), cmocka_unit_test(test_bad_tables), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_more_shards_than_files), cmocka_unit_test(test_interrupt)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
