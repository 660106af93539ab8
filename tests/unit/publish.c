// Publishing: a path that exists is whole, whatever happens to the writer.
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/publish.h"
#include "damage.h"

enum { SKIPPED = 77, LARGE_BYTES = 1 << 20 };

static char *folder, *path;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    path = path_join(folder, "x.json");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    mem_free(path);
    return 0;
}

static void assert_content(const char *expected)
{
    char *data;
    size_t n_bytes;
    assert_int_equal(file_read(path, &data, &n_bytes, NULL), 0);
    assert_string_equal(data, expected);
    mem_free(data);
}

// Temporaries begin with a dot, so folder_walk() would not show them.
static int count_entries(void)
{
    char *command = mem_printf("exit $(ls -A %s | wc -l)", folder);
    int status = system(command);
    mem_free(command);
    return WEXITSTATUS(status);
}

static int run_in_child(int (*work)(void))
{
    pid_t child = fork();
    if (child == 0)
        _exit(work());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_appears_only_on_commit(void **state)
{
    (void)state;
    Error error = {0};
    PublishFile *file = publish_open(path, &error);
    fputs("one", publish_stream(file));
    fflush(publish_stream(file));
    assert_false(file_exists(path));
    assert_int_equal(publish_commit(file, &error), 0);
    assert_content("one");
    assert_int_equal(publish_text(path, "two", &error), 0);
    assert_content("two");
    publish_abandon(publish_open(path, &error));
    publish_abandon(NULL);
    assert_content("two");
    assert_int_equal(count_entries(), 1);
}

static int write_and_die(void)
{
    PublishFile *file = publish_open(path, NULL);
    fputs("half", publish_stream(file));
    fflush(publish_stream(file));
    raise(SIGKILL);
    return 0;
}

static void test_killed_writer(void **state)
{
    (void)state;
    assert_int_equal(publish_text(path, "old", NULL), 0);
    assert_int_equal(run_in_child(write_and_die), -SIGKILL);
    assert_content("old");
    assert_int_equal(count_entries(), 2);
    assert_int_equal(publish_text(path, "new", NULL), 0); // removes what the dead one left
    assert_content("new");
    assert_int_equal(count_entries(), 1);
}

// 0: the failure is one clear line and leaves nothing behind
static int write_too_much(const char *reason)
{
    Error error = {0};
    char *large = mem_zero(LARGE_BYTES, 1);
    if (publish_bytes(path, large, LARGE_BYTES, &error) == 0)
        return 1;
    mem_free(large);
    return strstr(error.text, path) && strstr(error.text, reason) && !strchr(error.text, '\n') ? 0 : 2;
}

static int write_beyond_limit(void)
{
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 16, 1 << 16});
    return write_too_much("File too large");
}

static void test_file_size_limit(void **state)
{
    (void)state;
    assert_int_equal(publish_text(path, "old", NULL), 0);
    assert_int_equal(run_in_child(write_beyond_limit), 0);
    assert_content("old");
    assert_int_equal(count_entries(), 1);
}

static int write_to_full_disk(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "size=64k") != 0)
        return SKIPPED;
    int status = write_too_much("No space left on device");
    return status ? status : count_entries();
}

static void test_full_disk(void **state)
{
    (void)state;
    int status = run_in_child(write_to_full_disk);
    if (status == SKIPPED) {
        print_message("SKIPPED: no right to mount a small tmpfs here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

static void test_missing_folder(void **state)
{
    (void)state;
    Error error = {0};
    assert_null(publish_open("/dev/null/x.json", &error));
    assert_string_equal(error.text, "cannot write /dev/null/x.json: Not a directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appears_only_on_commit), cmocka_unit_test(test_killed_writer),
        cmocka_unit_test(test_file_size_limit),        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_missing_folder),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
