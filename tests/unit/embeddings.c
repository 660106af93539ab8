// Embedding sets in their three forms on disk, and what is wrong with bad ones.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void refused(const char *path, const char *list, const char *reason)
{
    Embeddings loaded;
    Error error = {0};
    assert_int_equal(embeddings_load(path, list, &loaded, &error), -1);
    if (!strstr(error.text, reason))
        fail_msg("wanted \"%s\", got: %s", reason, error.text);
}

static char *in_folder(const char *name)
{
    return path_join(folder, name);
}

static void write_list(const char *name, const char *text)
{
    char *path = in_folder(name);
    scratch_write(path, text, strlen(text));
    mem_free(path);
}

static void remove_lists(void)
{
    char *command = mem_printf("rm -f %s/*.txt %s/*.npy", folder, folder);
    assert_int_equal(system(command), 0);
    mem_free(command);
}

static void assert_first_is(const char *path, const char *utt)
{
    Embeddings loaded;
    Error error = {0};
    if (embeddings_load(path, NULL, &loaded, &error) < 0)
        fail_msg("%s", error.text);
    assert_string_equal(loaded.utts[0], utt);
    embeddings_release(&loaded);
}

// Two matrices of one folder keep their own names, whichever came last.
static void test_lists_belong_to_matrices(void **state)
{
    (void)state;
    remove_lists();
    char *train = in_folder("train.npy"), *test = in_folder("test.npy"), *others[3] = {"x", "y", "z"};
    Embeddings other = {.matrix = matrix, .utts = others, .n = 3, .dim = 2};
    Error error = {0};
    assert_int_equal(embeddings_publish_npy(train, &EXAMPLE, &error), 0);
    assert_int_equal(embeddings_publish_npy(test, &other, &error), 0);
    assert_first_is(train, "a/1.wav");
    assert_first_is(test, "x");
    write_list("utts.txt", "p\nq\nr\n"); // somebody else's
    assert_first_is(train, "a/1.wav");
    mem_free(train);
    mem_free(test);
}

// Another tool's utts.txt is taken where it can be of one matrix only.
static void test_shared_list(void **state)
{
    (void)state;
    remove_lists();
    char *one = in_folder("one.npy"), *two = in_folder("two.npy"), *own = in_folder("two.utts.txt");
    assert_int_equal(npy_publish(one, matrix, 3, 2, NULL), 0);
    refused(one, NULL, "put one.utts.txt beside it");
    write_list("utts.txt", "p\nq\nr\n");
    assert_first_is(one, "p");
    assert_int_equal(npy_publish(two, matrix, 2, 3, NULL), 0); // has other rows
    assert_first_is(one, "p");
    refused(two, NULL, "2 rows");
    assert_int_equal(npy_publish(two, matrix, 3, 2, NULL), 0);
    refused(one, NULL, "may be the list of two.npy");
    write_list("two.utts.txt", "s\nt\nu\n");
    assert_first_is(one, "p");
    assert_first_is(two, "s");
    mem_free(one);
    mem_free(two);
    mem_free(own);
}

static int publish_and_die(const char *path, int at)
{
    char *utts_now[3] = {"new1", "new2", "new3"};
    Embeddings now = {.matrix = (float[6]){9, 9, 9, 9, 9, 9}, .utts = utts_now, .n = 3, .dim = 2};
    mem_fail_at(at);
    Error error = {0};
    return embeddings_publish_npy(path, &now, &error) == 0 ? 0 : 1;
}

// Wherever publishing ends: both are old, both are new, or the matrix is not there.
static void test_never_one_of_each(void **state)
{
    (void)state;
    char *path = in_folder("pair.npy");
    Error error = {0};
    for (int at = 1, status = 1; status != 0; at++) {
        remove_lists();
        assert_int_equal(embeddings_publish_npy(path, &EXAMPLE, &error), 0);
        pid_t child = fork();
        if (child == 0) {
            close(STDERR_FILENO);
            _exit(publish_and_die(path, at));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        Embeddings loaded;
        if (!file_exists(path))
            continue;
        assert_int_equal(embeddings_load(path, NULL, &loaded, &error), 0);
        assert_true((loaded.matrix[0] == 9) == (strcmp(loaded.utts[0], "new1") == 0));
        embeddings_release(&loaded);
    }
    mem_free(path);
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
    static const char GREEDY[] = "a \0BFV \4\0\0\x10\0\0\0"; // a million numbers, in 20 bytes
    scratch_write(ark, GREEDY, sizeof GREEDY - 1);
    refused(ark, NULL, "ends inside the vector of a");
    scratch_write(ark, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", 64);
    refused(ark, NULL, "Git LFS pointer");
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
    assert_int_equal(npy_publish(npy, matrix, 0, 2, NULL), 0);
    scratch_write(list, "", 0);
    refused(npy, list, "holds no embeddings");
    refused("x.npz", NULL, "holds several arrays");
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
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_lists_belong_to_matrices),
        cmocka_unit_test(test_shared_list),
        cmocka_unit_test(test_never_one_of_each),
        cmocka_unit_test(test_rows_are_sorted),
        cmocka_unit_test(test_names_become_ids),
        cmocka_unit_test(test_ark),
        cmocka_unit_test(test_bad_arks),
        cmocka_unit_test(test_bad_sets),
        cmocka_unit_test(test_damaged_shard),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
