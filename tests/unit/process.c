// Every thread counts denormal numbers as 0 once the process is settled.
#include <float.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/process.h"
#include "base/threads.h"

static bool flushes(void)
{
    volatile float tiny = FLT_MIN, denormal = 1e-40f;
    return tiny * 0.5f == 0 && denormal * 1e10f == 0;
}

static void *in_a_thread(void *flushed)
{
    *(bool *)flushed = flushes();
    return NULL;
}

static void test_denormals(void **state)
{
    (void)state;
#if !defined(__x86_64__)
    skip();
#endif
    assert_true(flushes());
    pthread_t thread;
    bool flushed = false;
    assert_int_equal(pthread_create(&thread, NULL, in_a_thread, &flushed), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(flushed);
    int n = 0, n_flushing = 0;
    threads_set(4);
#pragma omp parallel reduction(+ : n, n_flushing)
    {
        n++;
        n_flushing += flushes();
    }
    assert_int_equal(n, 4);
    assert_int_equal(n_flushing, n);
}

int main(int argc, char **argv)
{
    (void)argc;
    process_settle(argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_denormals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
