// Embedding sets in their three forms on disk, and what is wrong with bad ones.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/embeddings.h"
#include "cache/kaldi_ark.h"
#include "cache/npy.h"
#include "damage.h"

static char *folder, *shard, *npy, *ark;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    shard = path_join(folder, "e.tar.zst");
    npy = path_join(folder, "e.npy");
    ark = path_join(folder, "e.ark");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    mem_free(shard);
    mem_free(npy);
    mem_free(ark);
    return 0;
}

static float matrix[6] = {1, 2, 3, 4, 5, 6}; // [3, 2]
static char *utts[3] = {"a/1.wav", "a/2.wav", "b%20\xc3\xa4.wav"};
static const Embeddings EXAMPLE = {.matrix = matrix, .utts = utts, .n = 3, .dim = 2};

static void assert_example(const Embeddings *loaded)
{
    assert_int_equal(loaded->n, 3);
    assert_int_equal(loaded->dim, 2);
    assert_memory_equal(loaded->matrix, matrix, sizeof matrix);
    for (int i = 0; i < 3; i++)
        assert_string_equal(loaded->utts[i], utts[i]);
    assert_int_equal(embeddings_find(loaded, utts[2]), 2);
    assert_int_equal(embeddings_find(loaded, "c"), -1);
}

static void test_round_trips(void **state)
{
    (void)state;
    Embeddings loaded;
    Error error = {0};
    assert_int_equal(embeddings_publish_shard(shard, &EXAMPLE, &error), 0);
    assert_int_equal(embeddings_load(shard, NULL, &loaded, &error), 0);
    assert_example(&loaded);
    embeddings_release(&loaded);
    assert_int_equal(embeddings_publish_npy(npy, &EXAMPLE, &error), 0);
    assert_int_equal(embeddings_load(npy, NULL, &loaded, &error), 0);
    assert_example(&loaded);
    embeddings_release(&loaded);
}

static void test_rows_are_sorted(void **state)
{
    (void)state;
    float shuffled[6] = {5, 6, 1, 2, 3, 4};
    char *list = path_join(folder, "list"), *text = mem_printf("%s\n%s\n%s\n", utts[2], utts[0], utts[1]);
    Embeddings loaded;
    Error error = {0};
    scratch_write(list, text, strlen(text));
    assert_int_equal(npy_publish(npy, shuffled, 3, 2, &error), 0);
    assert_int_equal(embeddings_load(npy, list, &loaded, &error), 0);
    assert_example(&loaded);
    embeddings_release(&loaded);
    mem_free(text);
    mem_free(list);
}

// Names of other tools: a byte-order mark, Windows' line ends, blanks.
static void test_names_become_ids(void **state)
{
    (void)state;
    const char *text = "\xEF\xBB\xBF"
                       "b \xc3\xa4.wav\r\na/1.wav\r\n a/2.wav\r\n";
    float shuffled[6] = {5, 6, 1, 2, 3, 4};
    char *list = path_join(folder, "list");
    Embeddings loaded;
    Error error = {0};
    scratch_write(list, text, strlen(text));
    assert_int_equal(npy_publish(npy, shuffled, 3, 2, &error), 0);
    assert_int_equal(embeddings_load(npy, list, &loaded, &error), 0);
    assert_example(&loaded);
    embeddings_release(&loaded);
    mem_free(list);
}

static void refused(const char *path, const char *list, const char *reason)
{
    Embeddings loaded;
    Error error = {0};
    assert_int_equal(embeddings_load(path, list, &loaded, &error), -1);
    if (!strstr(error.text, reason))
        fail_msg("wanted \"%s\", got: %s", reason, error.text);
}

// Byte for byte what kaldi's Vector<float>::Write gives: "utt " NUL B "FV " 4 dim values.
static void test_ark(void **state)
{
    (void)state;
    Embeddings one = {.matrix = matrix, .utts = utts, .n = 2, .dim = 2};
    Error error = {0};
    assert_int_equal(ark_publish(ark, &one, &error), 0);
    static const char EXPECTED[] = "a/1.wav \0BFV \4\2\0\0\0\0\0\x80\x3f\0\0\0\x40"
                                   "a/2.wav \0BFV \4\2\0\0\0\0\0\x40\x40\0\0\x80\x40";
    char *data, *scp = path_join(folder, "e.scp"),
                *lines = mem_printf("a/1.wav %s:8\na/2.wav %s:34\n", ark, ark);
    size_t n_bytes;
    assert_int_equal(file_read(ark, &data, &n_bytes, NULL), 0);
    assert_int_equal(n_bytes, sizeof EXPECTED - 1);
    assert_memory_equal(data, EXPECTED, n_bytes);
    mem_free(data);
    assert_int_equal(file_read(scp, &data, &n_bytes, NULL), 0);
    assert_string_equal(data, lines);
    mem_free(data);
    mem_free(lines);

    const char *const forms[2] = {ark, scp};
    for (int f = 0; f < 2; f++) {
        Embeddings loaded;
        if (embeddings_load(forms[f], NULL, &loaded, &error) < 0)
            fail_msg("%s", error.text);
        assert_int_equal(loaded.n, 2);
        assert_int_equal(loaded.dim, 2);
        assert_memory_equal(loaded.matrix, matrix, 4 * sizeof(float));
        assert_string_equal(loaded.utts[1], utts[1]);
        embeddings_release(&loaded);
    }
    mem_free(scp);
    char *blank[] = {"a b"};
    assert_int_equal(
        ark_publish(ark, &(Embeddings){.matrix = matrix, .utts = blank, .n = 1, .dim = 2}, &error), -1);
    assert_non_null(strstr(error.text, "blank"));
}

static void test_bad_arks(void **state)
{
    (void)state;
    static const char DOUBLES[] = "a \0BDV \4\1\0\0\0\0\0\0\0\0\0\x04\x40";
    Embeddings loaded;
    Error error = {0};
    scratch_write(ark, DOUBLES, sizeof DOUBLES - 1);
    assert_int_equal(embeddings_load(ark, NULL, &loaded, &error), 0);
    assert_true(loaded.matrix[0] == 2.5f);
    embeddings_release(&loaded);
    scratch_write(ark, DOUBLES, sizeof DOUBLES - 2);
    refused(ark, NULL, "ends inside the vector of a");
    scratch_write(ark, "a  [ 1 2 ]\n", 11);
    refused(ark, NULL, "no binary Kaldi vector");
    static const char WIDTHS[] = "a \0BFV \4\1\0\0\0\0\0\0\0b \0BFV \4\2\0\0\0\0\0\0\0\0\0\0\0";
    scratch_write(ark, WIDTHS, sizeof WIDTHS - 1);
    refused(ark, NULL, "of b has 2 numbers, not 1");
    scratch_write(ark, "", 0);
    refused(ark, NULL, "holds no vectors");
}

static void test_bad_sets(void **state)
{
    (void)state;
    char *list = path_join(folder, "list");
    assert_int_equal(npy_publish(npy, matrix, 3, 2, NULL), 0);
    scratch_write(list, "a\nb\n", 4);
    refused(npy, list, "3 rows");
    scratch_write(list, "b\na\nb\n", 6);
    refused(npy, list, "utterance b occurs twice");
    refused(npy, "/dev/null/none", "/dev/null/none");
    float broken[6] = {1, 2, 3, NAN, 5, 6};
    assert_int_equal(npy_publish(npy, broken, 3, 2, NULL), 0);
    scratch_write(list, "a\nb\nc\n", 6);
    refused(npy, list, "the embedding of b holds a NaN");
    refused("/nonexistent.tar.zst", NULL, "/nonexistent.tar.zst");
    mem_free(list);
}

static void right_or_refused(const char *path, void *context, const char *what)
{
    (void)context;
    Embeddings loaded;
    if (embeddings_load(path, NULL, &loaded, NULL) != 0)
        return;
    if (loaded.n != 3 || loaded.dim != 2 || memcmp(loaded.matrix, matrix, sizeof matrix) != 0)
        fail_msg("wrong values with %s", what);
    embeddings_release(&loaded);
}

static void test_damaged_shard(void **state)
{
    (void)state;
    char *data;
    size_t n_bytes;
    assert_int_equal(embeddings_publish_shard(shard, &EXAMPLE, NULL), 0);
    assert_int_equal(file_read(shard, &data, &n_bytes, NULL), 0);
    damage_each_bit(shard, data, n_bytes, 0, 3, right_or_refused, NULL);
    damage_each_cut(shard, data, n_bytes, 5, right_or_refused, NULL);
    mem_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),      cmocka_unit_test(test_rows_are_sorted),
        cmocka_unit_test(test_names_become_ids), cmocka_unit_test(test_ark),
        cmocka_unit_test(test_bad_arks),         cmocka_unit_test(test_bad_sets),
        cmocka_unit_test(test_damaged_shard),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
