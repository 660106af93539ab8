// Text from outside: what reaches a terminal, long sentences, and files that people wrote.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "damage.h"

static char *folder, *path;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    path = path_join(folder, "text");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    mem_free(path);
    return 0;
}

static void test_visible(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"", ""},
        {"plain/name 1.wav", "plain/name 1.wav"},
        {"Zoë Ωμέγα 話者 \xF0\x9F\x8E\xA4", "Zoë Ωμέγα 話者 \xF0\x9F\x8E\xA4"},
        {"a\x1b[2Jb\a\x7f", "a\\x1b[2Jb\\x07\\x7f"},
        {"a\tb\nc\rd", "a\\tb\\nc\\rd"},
        {"caf\xE9.wav", "caf\\xe9.wav"}, // Latin-1
        {"\xC2\x9B"
         "31m",
         "\\u009b31m"},                                          // C1's own "escape ["
        {"\xC0\xAF \xED\xA0\x80", "\\xc0\\xaf \\xed\\xa0\\x80"}, // overlong, surrogate
        {"a\xE2\x80\xAE"
         "fdp\xE2\x80\xA8",
         "a\\u202efdp\\u2028"},
        {"\xE2\x80", "\\xe2\\x80"}, // cut off
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *shown = text_visible(cases[i].text);
        assert_string_equal(shown, cases[i].shown);
        mem_free(shown);
    }
}

static void test_as_utf8(void **state)
{
    (void)state;
    char *valid = text_as_utf8("Zo\xC3\xAB \xC3\n\x1b \xE2\x80\xA8\xFF");
    assert_string_equal(valid, "Zo\xC3\xAB \\xc3\n\x1b \xE2\x80\xA8\\xff");
    mem_free(valid);
}

static void test_nothing_raw_is_logged(void **state)
{
    (void)state;
    int before = dup(STDERR_FILENO);
    assert_non_null(freopen(path, "w", stderr));
    log_warn("%s is\nbad\x1b[31m", "na\tme");
    log_info("%s", "fine \xFF");
    Program program = {.name = "test"};
    Error error = {0};
    error_set(&error, "%s: \x1b]0;title\a", "x.wav");
    program_fail(&program, &error);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    char *text;
    size_t n;
    assert_int_equal(file_read(path, &text, &n, NULL), 0);
    assert_string_equal(text, "voxloop: warning: na\\tme is\\nbad\\x1b[31m\nvoxloop: fine \\xff\n"
                              "voxloop-test: error: x.wav: \\x1b]0;title\\x07\n");
    mem_free(text);
}

static void test_long_sentences_keep_their_ends(void **state)
{
    (void)state;
    char *name = mem_zero(70001, 1);
    for (int i = 0; i < 70000; i += 2)
        memcpy(name + i, "é", 2);
    Error error = {0};
    error_set(&error, "x.scp:7: no file %s; correct the line", name);
    assert_true(strlen(error.text) < sizeof error.text && strlen(error.text) > sizeof error.text - 8);
    assert_memory_equal(error.text, "x.scp:7: no file éé", strlen("x.scp:7: no file éé"));
    assert_non_null(strstr(error.text, "é [...] é"));
    assert_non_null(strstr(error.text, "é; correct the line"));
    error_prefix(&error, "%s", "whole");
    assert_memory_equal(error.text, "whole: x.scp:7", 14);
    assert_non_null(strstr(error.text, "é; correct the line"));
    mem_free(name);
}

static void test_append(void **state)
{
    (void)state;
    char list[16] = "";
    text_append(list, sizeof list, "one");
    text_append(list, sizeof list, "two");
    assert_string_equal(list, "one, two");
    text_append(list, sizeof list, "too long");
    text_append(list, sizeof list, "a");
    assert_string_equal(list, "one, two, ...");
    char small[5] = "";
    text_append(small, sizeof small, "name");
    assert_string_equal(small, "...");
}

static int read_text(const char *bytes, size_t n, char **text, Error *error)
{
    scratch_write(path, bytes, n);
    return text_read(path, text, error);
}

static void test_read(void **state)
{
    (void)state;
    static const char *const FORMS[] = {"a b\nc\n\n d \n",
                                        "\xEF\xBB\xBF"
                                        "a b\nc\n\n d ",
                                        "a b\r\nc\r\n\r\n d \r\n", "a b\rc\r\r d \r"};
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        char *text, *rest;
        Error error = {0};
        assert_int_equal(read_text(FORMS[i], strlen(FORMS[i]), &text, &error), 0);
        rest = text;
        assert_string_equal(text_next_line(&rest), "a b");
        assert_string_equal(text_next_line(&rest), "c");
        assert_string_equal(text_next_line(&rest), "");
        assert_string_equal(text_next_line(&rest), " d ");
        assert_null(text_next_line(&rest));
        mem_free(text);
    }
    char *text;
    Error error = {0};
    assert_int_equal(read_text("a\nb\0c\n", 6, &text, &error), -1);
    assert_non_null(strstr(error.text, "text:2: holds a NUL byte"));
    error_clear(&error);
    assert_int_equal(read_text("\xFF\xFE"
                               "a\0",
                               4, &text, &error),
                     -1);
    assert_non_null(strstr(error.text, "is UTF-16; save it as UTF-8"));
    error_clear(&error);
    assert_int_equal(read_text("", 0, &text, &error), 0);
    assert_string_equal(text, "");
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_visible),
        cmocka_unit_test(test_as_utf8),
        cmocka_unit_test(test_nothing_raw_is_logged),
        cmocka_unit_test(test_long_sentences_keep_their_ends),
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_read),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
