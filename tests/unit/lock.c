// One run per folder: the second is told who the first is, and a dead one holds nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
