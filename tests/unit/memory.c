// Heap blocks: aligned, overflow-checked, and a planned one that fails says what it wanted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <cjson/cJSON.h>

#include "base/memory.h"
#include "base/text_buffer.h"

static void test_blocks(void **state)
{
    (void)state;
    for (size_t n = 0; n < 200; n += 7) {
        char *block = mem_zero(n, 3);
        assert_int_equal((uintptr_t)block % 64, 0);
        for (size_t i = 0; i < 3 * n; i++)
            assert_int_equal(block[i], 0);
        mem_free(block);
    }
    char *text = mem_printf("%s-%d", "a", 7);
    assert_string_equal(text, "a-7");
    text = mem_grow(text, 1000, 1);
    assert_string_equal(text, "a-7");
    mem_free(text);
    mem_free(NULL);
    assert_true(mem_available_bytes() > 1 << 20);
}

static void test_try_alloc_reports(void **state)
{
    (void)state;
    Error error = {0};
    assert_null(mem_try_alloc(SIZE_MAX / 2, 4, "the merge table", &error));
    assert_non_null(strstr(error.text, "the merge table"));
    error_clear(&error);
    mem_fail_at(2);
    char *block = mem_try_alloc(1, 1, "x", &error);
    assert_non_null(block);
    assert_null(mem_try_alloc(1, 1, "y", &error));
    mem_free(block);
    block = mem_try_alloc(1, 1, "z", NULL);
    assert_non_null(block);
    mem_free(block);
}

static void test_small_failure_ends_with_status_1(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        mem_fail_at(1);
        mem_alloc(1, 1);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

// A tree that lacks what could not be allocated would be printed as if it were whole.
static void test_json_fails_with_one_line(void **state)
{
    (void)state;
    library_memory_settle();
    for (int64_t n = 1, n_dead = 0;; n++) {
        pid_t child = fork();
        if (child == 0) {
            close(STDERR_FILENO);
            mem_fail_at(n);
            cJSON *object = cJSON_CreateObject();
            cJSON_AddStringToObject(object, "key", "value");
            char *text = cJSON_PrintUnformatted(object);
            _exit(text && strcmp(text, "{\"key\":\"value\"}") == 0 ? 0 : 2);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        n_dead += WEXITSTATUS(status);
        if (WEXITSTATUS(status) == 0) {
            assert_true(n_dead >= 5); // two items, a key, a value, the text
            return;
        }
    }
}

static void test_text_buffer(void **state)
{
    (void)state;
    TextBuffer text = {0};
    assert_string_equal(buffer_text(&text), "");
    for (int i = 0; i < 1000; i++)
        buffer_printf(&text, "%d,", i);
    buffer_add(&text, "a\0b", 3);
    assert_int_equal(text.n_bytes, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    assert_memory_equal(buffer_text(&text), "0,1,2,", 6);
    assert_memory_equal(text.data + text.n_bytes - 7, "999,a\0b", 8);
    buffer_release(&text);
    assert_string_equal(buffer_text(&text), "");
}

static void test_peak(void **state)
{
    (void)state;
    enum { BYTES = 64 << 20 };
    char *block = mem_alloc(BYTES, 1);
    memset(block, 1, BYTES);
    assert_true(mem_peak_bytes() >= BYTES);
    mem_free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_blocks),
                                       cmocka_unit_test(test_try_alloc_reports),
                                       cmocka_unit_test(test_small_failure_ends_with_status_1),
                                       cmocka_unit_test(test_json_fails_with_one_line),
                                       cmocka_unit_test(test_text_buffer),
                                       cmocka_unit_test(test_peak)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
