// More files than may be open at once, read by several threads; one that was replaced is noticed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cache/random_file.h"
#include "cache/publish.h"
#include "damage.h"

enum { N_FILES = 60, N_READS = 4000, N_THREADS = 4 };

static char *file_path(const char *folder, int64_t i)
{
    return mem_printf("%s/%lld", folder, (long long)i);
}

static int64_t count_open(void)
{
    int64_t n = 0;
    for (int descriptor = 0; descriptor < 512; descriptor++) {
        struct stat info;
        n += fstat(descriptor, &info) == 0;
    }
    return n;
}

static void test_many_files(void **state)
{
    (void)state;
    enum { MOST_OPEN = 7 };
    char *folder = scratch_create();
    Error error = {0};
    OpenFiles *pool = open_files_create(MOST_OPEN);
    RandomFile *files[N_FILES];
    int64_t before = count_open();
    for (int64_t i = 0; i < N_FILES; i++) {
        char *path = file_path(folder, i), text[32];
        snprintf(text, sizeof text, "file %04lld of many", (long long)i);
        scratch_write(path, text, strlen(text));
        files[i] = random_file_open(pool, path, &error);
        assert_non_null(files[i]);
        assert_int_equal(random_file_bytes(files[i]), 17);
        mem_free(path);
    }
    int64_t n_wrong = 0, most = 0;
#pragma omp parallel for num_threads(N_THREADS) reduction(+ : n_wrong)
    for (int64_t r = 0; r < N_READS; r++) {
        Rng rng = rng_stream(3, "pool", (uint64_t)r, 0);
        int64_t i = (int64_t)rng_below(&rng, N_FILES);
        char wanted[32], got[8] = "";
        snprintf(wanted, sizeof wanted, "%04lld", (long long)i);
        Error own = {0};
        n_wrong += random_file_read(files[i], 5, got, 4, &own) != 0 || strcmp(got, wanted) != 0;
#pragma omp critical
        most = count_open() > most ? count_open() : most;
    }
    assert_int_equal(n_wrong, 0);
    assert_true(most - before <= MOST_OPEN + N_THREADS);
    char got[8];
    assert_int_equal(random_file_read(files[0], 12, got, 6, &error), -1);
    assert_non_null(strstr(error.text, "ends too early"));
    for (int i = 0; i < N_FILES; i++)
        random_file_close(files[i]);
    assert_int_equal(count_open(), before);
    open_files_destroy(pool);
    scratch_remove(folder);
}

static void test_replaced(void **state)
{
    (void)state;
    char *folder = scratch_create(), got[4];
    Error error = {0};
    OpenFiles *pool = open_files_create(1);
    char *a_path = file_path(folder, 0), *b_path = file_path(folder, 1);
    scratch_write(a_path, "aaaa", 4);
    scratch_write(b_path, "bbbb", 4);
    RandomFile *a = random_file_open(pool, a_path, &error), *b = random_file_open(pool, b_path, &error);
    assert_int_equal(random_file_read(a, 0, got, 4, &error), 0);
    assert_int_equal(publish_text(a_path, "cccc", &error), 0);
    assert_int_equal(random_file_read(a, 0, got, 4, &error), 0); // open still, and what it was
    assert_memory_equal(got, "aaaa", 4);
    assert_int_equal(random_file_read(b, 0, got, 4, &error), 0);
    assert_int_equal(random_file_read(a, 0, got, 4, &error), -1);
    assert_non_null(strstr(error.text, "changed or replaced"));
    error_clear(&error);
    assert_int_equal(unlink(a_path), 0);
    assert_int_equal(random_file_read(a, 0, got, 4, &error), -1);
    assert_non_null(strstr(error.text, a_path));
    error_clear(&error);
    assert_int_equal(mkfifo(a_path, 0600), 0);
    assert_null(random_file_open(pool, a_path, &error)); // is not waited for
    assert_non_null(strstr(error.text, "not a file"));
    random_file_close(a);
    random_file_close(b);
    random_file_close(NULL);
    open_files_destroy(pool);
    mem_free(a_path);
    mem_free(b_path);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many_files), cmocka_unit_test(test_replaced)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
