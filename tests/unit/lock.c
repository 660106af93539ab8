// One run per folder: the second is told who the first is, and a dead one holds nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "cache/lock.h"
#include "damage.h"

static void test_lock(void **state)
{
    (void)state;
    char *folder = scratch_create(), who[64];
    Error error = {0};
    int first = lock_folder(folder, &error);
    assert_true(first >= 0);
    assert_int_equal(lock_folder(folder, &error), -1);
    snprintf(who, sizeof who, "another run (process %ld)", (long)getpid());
    assert_non_null(strstr(error.text, who));
    assert_non_null(strstr(error.text, folder));
    lock_release(first);

    pid_t child = fork();
    if (child == 0)
        _exit(lock_folder(folder, NULL) >= 0 ? 0 : 1); // dies with the lock in its hands
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    int again = lock_folder(folder, &error);
    assert_true(again >= 0);
    lock_release(again);
    lock_release(-1);
    error_clear(&error);
    assert_int_equal(lock_folder("/dev/null/none", &error), -1);
    assert_non_null(strstr(error.text, "/dev/null/none"));
    scratch_remove(folder);
}

// A lock on a file that somebody has removed or replaced locks nothing.
static void test_replaced(void **state)
{
    (void)state;
    char *folder = scratch_create(), *path = mem_printf("%s/.lock", folder),
         *victim = mem_printf("%s/v", folder);
    Error error = {0};
    int first = lock_folder(folder, &error);
    assert_int_equal(unlink(path), 0);
    int second = lock_folder(folder, &error); // the file that stands there now
    assert_true(second >= 0);
    assert_int_equal(lock_remove(folder, first), -1); // it is not the first one's any more
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(lock_remove(folder, second), 0);
    assert_int_equal(access(path, F_OK), -1);

    scratch_write(victim, "precious", 8);
    assert_int_equal(symlink(victim, path), 0);
    assert_int_equal(lock_folder(folder, &error), -1); // would write its process number into it
    struct stat info;
    assert_int_equal(stat(victim, &info), 0);
    assert_int_equal(info.st_size, 8);
    unlink(path);
    error_clear(&error);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(lock_folder(folder, &error), -1);
    assert_non_null(strstr(error.text, "not a lock file"));
    mem_free(path);
    mem_free(victim);
    scratch_remove(folder);
}

enum { RACERS = 8, ROUNDS = 200 };

// Takes the lock, says so by a file that must not be there, and removes the lock again.
static int race(const char *folder)
{
    char *mark = mem_printf("%s/mark", folder);
    for (int i = 0; i < ROUNDS; i++) {
        int lock = lock_folder(folder, NULL);
        if (lock < 0)
            continue;
        int alone = open(mark, O_CREAT | O_EXCL | O_WRONLY, 0600);
        if (alone < 0)
            return 1;
        close(alone);
        unlink(mark);
        lock_remove(folder, lock);
    }
    return 0;
}

static void test_race(void **state)
{
    (void)state;
    char *folder = scratch_create();
    for (int i = 0; i < RACERS; i++)
        if (fork() == 0)
            _exit(race(folder));
    for (int i = 0, status; i < RACERS; i++) {
        wait(&status);
        assert_int_equal(status, 0);
    }
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lock), cmocka_unit_test(test_replaced),
                                       cmocka_unit_test(test_race)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
