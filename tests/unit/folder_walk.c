// Which files a walk finds: in the C locale's order, each folder once, whatever links do, and what it leaves
// out with the reason.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/folder_walk.h"
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

static void make_file(const char *name)
{
    char *path = path_join(folder, name), *parent = path_folder(path);
    assert_int_equal(folder_create(parent, NULL), 0);
    scratch_write(path, "", 0);
    mem_free(parent);
    mem_free(path);
}

static void make_link(const char *target, const char *name)
{
    char *path = path_join(folder, name);
    assert_int_equal(symlink(target, path), 0);
    mem_free(path);
}

// Everything found, and everything left out, each behind a blank.
static char *walk(const char *name)
{
    char *root = path_join(folder, name), *text = mem_strdup("");
    Error error = {0};
    FolderWalk found;
    if (folder_walk(root, &found, &error) != 0)
        fail_msg("%s", error.text);
    for (int64_t i = 0; i < found.n + found.n_skipped; i++) {
        bool skipped = i >= found.n;
        int64_t at = skipped ? i - found.n : i;
        char *longer =
            mem_printf("%s %s%s", text, skipped ? "!" : "", skipped ? found.skipped[at] : found.paths[at]);
        mem_free(text);
        text = longer;
        if (skipped)
            assert_true(found.reasons[at][0] != '\0');
    }
    folder_walk_release(&found);
    mem_free(root);
    return text;
}

static void assert_walk(const char *name, const char *expected)
{
    char *text = walk(name);
    assert_string_equal(text, expected);
    mem_free(text);
}

static void test_order_and_links(void **state)
{
    (void)state;
    make_file("walk/b/2.wav");
    make_file("walk/b/10.wav");
    make_file("walk/b.wav"); // '.' comes before '/'
    make_file("walk/a.wav");
    make_file("walk/.hidden/x.wav");
    make_file("other/y.wav");
    make_link("../other", "walk/link");
    make_link("nowhere", "walk/dangling");
    assert_walk("walk", " a.wav b.wav b/10.wav b/2.wav dangling link/y.wav");
}

static void test_each_folder_once(void **state)
{
    (void)state;
    make_file("loops/a/1.wav");
    make_file("loops/b/2.wav");
    make_file("out/side/3.wav");
    make_link("..", "loops/a/up");
    make_link("../b", "loops/a/across");
    make_link("../a", "loops/b/across");
    make_link("../..", "loops/a/above");
    make_link("self", "loops/self");
    make_link("../out/side", "loops/z-first-by-link");
    make_link("../out", "loops/zz");
    make_link("../../loops", "out/side/back");
    assert_walk("loops", " a/1.wav b/2.wav z-first-by-link/3.wav !a/above !a/across !a/up !b/across !self "
                         "!z-first-by-link/back !zz/side");
}

static void test_no_files(void **state)
{
    (void)state;
    make_file("special/fine.wav");
    char *pipe = path_join(folder, "special/pipe.wav");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_walk("special", " fine.wav !pipe.wav");
    mem_free(pipe);
}

// Root may read everything, so another user walks.
static void test_unreadable_folder(void **state)
{
    (void)state;
    make_file("closed/fine.wav");
    make_file("closed/lost+found/x.wav");
    char *closed = path_join(folder, "closed/lost+found");
    assert_int_equal(chmod(closed, 0), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(3);
        char *text = walk("closed");
        _exit(strcmp(text, " fine.wav !lost+found") == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(closed, 0700), 0);
    mem_free(closed);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

// 1 000 folders inside each other while 64 files may be open; then deeper than a path may be long.
static void test_depth(void **state)
{
    (void)state;
    struct rlimit before, few = {64, 64};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few.rlim_max = before.rlim_max;
    char *root = path_join(folder, "deep");
    assert_int_equal(mkdir(root, 0755), 0);
    int at = open(root, O_RDONLY | O_DIRECTORY), file;
    for (int depth = 1; depth <= 4000; depth++) {
        assert_int_equal(mkdirat(at, "d", 0755), 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        close(at);
        at = next;
        if (depth == 1000) {
            assert_true((file = openat(at, "x.wav", O_CREAT | O_WRONLY, 0644)) >= 0);
            close(file);
        }
    }
    close(at);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    FolderWalk found;
    Error error = {0};
    assert_int_equal(folder_walk(root, &found, &error), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(found.n, 1);
    assert_int_equal(strlen(found.paths[0]), 2 * 1000 + strlen("x.wav"));
    assert_int_equal(found.n_skipped, 1);
    assert_string_equal(found.reasons[0], strerror(ENAMETOOLONG));
    folder_walk_release(&found);
    mem_free(root);
}

static void test_missing_root(void **state)
{
    (void)state;
    char *root = path_join(folder, "nowhere");
    FolderWalk found;
    Error error = {0};
    assert_int_equal(folder_walk(root, &found, &error), -1);
    assert_non_null(strstr(error.text, "cannot open the folder"));
    assert_non_null(strstr(error.text, strerror(ENOENT)));
    mem_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_links), cmocka_unit_test(test_each_folder_once),
        cmocka_unit_test(test_no_files),        cmocka_unit_test(test_unreadable_folder),
        cmocka_unit_test(test_depth),           cmocka_unit_test(test_missing_root)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
