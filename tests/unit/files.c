// Paths, folders and digests.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "damage.h"

static char *folder;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

static void assert_text(char *text, const char *expected)
{
    assert_string_equal(text, expected);
    mem_free(text);
}

static void test_paths(void **state)
{
    (void)state;
    assert_text(path_join("a", "b"), "a/b");
    assert_text(path_join("a/", "b"), "a/b");
    assert_text(path_join("", "b"), "b");
    assert_text(path_join("a", "/b"), "/b");
    assert_text(path_folder("a/b/c"), "a/b");
    assert_text(path_folder("c"), ".");
    assert_text(path_folder("/c"), "/");
    assert_string_equal(path_name("a/b.c"), "b.c");
    assert_string_equal(path_name("b.c"), "b.c");
}

static void make_file(const char *name, const char *text)
{
    char *path = path_join(folder, name), *parent = path_folder(path);
    assert_int_equal(folder_create(parent, NULL), 0);
    scratch_write(path, text, strlen(text));
    mem_free(parent);
    mem_free(path);
}

static void test_create(void **state)
{
    (void)state;
    char *deep = path_join(folder, "p/q/r/"), *under_file = path_join(folder, "file/x");
    Error error = {0};
    assert_int_equal(folder_create(deep, &error), 0);
    assert_int_equal(folder_create(deep, &error), 0);
    assert_true(folder_exists(deep));
    make_file("file", "");
    assert_int_equal(folder_create(under_file, &error), -1);
    assert_non_null(strstr(error.text, "cannot create the folder"));
    error_clear(&error);
    assert_int_equal(folder_create("/sys/none", &error), -1); // refused by the system, whoever asks
    assert_non_null(strstr(error.text, "cannot create the folder /sys/none: "));
    assert_null(strstr(error.text, strerror(ENOENT)));
    mem_free(under_file);
    mem_free(deep);
}

static void test_read_and_digest(void **state)
{
    (void)state;
    make_file("empty", "");
    make_file("abc", "abc");
    char *empty = path_join(folder, "empty"), *abc = path_join(folder, "abc"), *data, hex[17];
    size_t n_bytes;
    assert_int_equal(file_digest(empty, hex, NULL), 0);
    assert_string_equal(hex,
                        "ef46db3751d8e999"); // XXH64 of nothing and of "abc", as `xxhsum -H1` prints them
    assert_int_equal(file_digest(abc, hex, NULL), 0);
    assert_string_equal(hex, "44bc2cf5ad770999");
    assert_int_equal(file_read(abc, &data, &n_bytes, NULL), 0);
    assert_int_equal(n_bytes, 3);
    assert_text(data, "abc");
    Error error = {0};
    assert_int_equal(file_read(folder, &data, &n_bytes, &error), -1);
    assert_non_null(strstr(error.text, "it is a folder"));
    mem_free(abc);
    mem_free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_paths), cmocka_unit_test(test_create),
                                       cmocka_unit_test(test_read_and_digest)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
