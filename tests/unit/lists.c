// Text lists: the accepted forms, and one sentence with file and line for each that is not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/lists.h"
#include "damage.h"

static char *folder, *path;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    path = path_join(folder, "list");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    mem_free(path);
    return 0;
}

static int load_labels(const char *text, char *const *known, int64_t n_known, LabelList *list,
                       const char **form, Error *error)
{
    scratch_write(path, text, strlen(text));
    return labels_load(path, known, n_known, list, form, error);
}

static void test_label_forms(void **state)
{
    (void)state;
    char *known[] = {"a.wav", "b c.wav", "d.wav"};
    static const struct {
        const char *text, *form;
    } cases[] = {
        {"d.wav 2\na.wav 1\n", "utterance speaker"},
        {"2 d.wav\n1\ta.wav\r\n\n", "speaker utterance"},
        {"File,Speaker\nd.wav,2\na.wav,1", "File,Speaker"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Error error = {0};
        LabelList list;
        const char *form = NULL;
        if (load_labels(cases[i].text, known, 3, &list, &form, &error) != 0)
            fail_msg("%s: %s", cases[i].text, error.text);
        assert_string_equal(form, cases[i].form);
        assert_int_equal(list.n, 2);
        assert_string_equal(list.utts[0], "a.wav");
        assert_string_equal(list.names[0], "1");
        assert_int_equal(labels_find(&list, "d.wav"), 1);
        assert_int_equal(labels_find(&list, "e.wav"), -1);
        labels_release(&list);
    }
}

static void test_labels_are_numbered_by_first_appearance(void **state)
{
    (void)state;
    LabelList list;
    Error error = {0};
    assert_int_equal(labels_parse("x", "d z\nb y\na z\nc x\n", &list, &error), 0);
    const int64_t expected[] = {0, 1, 2, 0};
    assert_int_equal(list.n_labels, 3);
    assert_memory_equal(list.labels, expected, sizeof expected);
    assert_string_equal(list.names[2], "x");
    labels_release(&list);
}

static void test_bad_labels(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"a 1\nb 2\na 3\n", ":3: duplicate id a (first on line 1)"},
        {"a 1\nb\n", ":2: expected two columns"},
        {"", "is empty"},
        {"\n\n", "is empty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Error error = {0};
        LabelList list;
        assert_int_equal(load_labels(cases[i].text, NULL, 0, &list, NULL, &error), -1);
        if (!strstr(error.text, cases[i].reason) || !strstr(error.text, path))
            fail_msg("%s: %s", cases[i].text, error.text);
    }
    Error error = {0};
    LabelList list;
    assert_int_equal(labels_load("/dev/null/none", NULL, 0, &list, NULL, &error), -1);
    assert_non_null(strstr(error.text, "/dev/null/none"));
}

static void test_align(void **state)
{
    (void)state;
    LabelList list;
    Error error = {0};
    assert_int_equal(labels_parse("x", "a 1\nb 2\nc 1\n", &list, &error), 0);
    char *utts[] = {"c", "b"}, *unknown[] = {"a", "p", "q", "r", "s", "t", "u"};
    int64_t labels[7];
    assert_int_equal(labels_align(&list, "x", utts, 2, labels, &error), 0);
    assert_int_equal(labels[0], 0);
    assert_int_equal(labels[1], 1);
    assert_int_equal(labels_align(&list, "truth", unknown, 7, labels, &error), -1);
    assert_non_null(strstr(error.text, "truth lacks 6 of 7 utterances: p, q, r, s, t, ..."));
    error_clear(&error);
    assert_int_equal(labels_align(&list, "truth", unknown + 1, 6, labels, &error), -1);
    assert_non_null(
        strstr(error.text, "truth lacks all 6 utterances: it calls its first a, and theirs is called p"));
    labels_release(&list);
}

static void test_wav_scp(void **state)
{
    (void)state;
    const char *good = "u2 some where/b.flac\nu1 a.wav\n", *bad = "u1 a.wav\nu2 sph2pipe x |\n";
    WavScp scp;
    Error error = {0};
    scratch_write(path, good, strlen(good));
    assert_int_equal(wav_scp_load(path, &scp, &error), 0);
    assert_int_equal(scp.n, 2);
    assert_string_equal(scp.utts[0], "u1");
    assert_string_equal(scp.paths[1], "some where/b.flac");
    wav_scp_release(&scp);
    scratch_write(path, bad, strlen(bad));
    assert_int_equal(wav_scp_load(path, &scp, &error), -1);
    assert_non_null(strstr(error.text, ":2: u2 is a shell command"));
}

static void test_lines(void **state)
{
    (void)state;
    const char *text = "b\r\n\n a \nlast";
    char **lines;
    int64_t n;
    scratch_write(path, text, strlen(text));
    assert_int_equal(lines_load(path, &lines, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_string_equal(lines[0], "b");
    assert_string_equal(lines[1], "a");
    assert_string_equal(lines[2], "last");
    strings_free(lines, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_label_forms), cmocka_unit_test(test_labels_are_numbered_by_first_appearance),
        cmocka_unit_test(test_bad_labels),  cmocka_unit_test(test_align),
        cmocka_unit_test(test_wav_scp),     cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
