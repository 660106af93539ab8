// Loader threads that the system refuses end in one sentence, not in waiting for ever.
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "damage.h"
#include "tiny_corpus.h"
#include "train/batches.h"

enum { SPEAKERS = 2, EACH = 3, BATCH = 4, LOADERS = 3 };

// Stands before the system's: number `refused` from now on is refused, 0: none.
static int refused;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    typedef int (*Create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    Create create;
    void *symbol = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&create, &symbol, sizeof create); // ISO C has no cast between the two kinds of pointer
    if (refused > 0 && --refused == 0)
        return EAGAIN;
    return create(thread, attributes, run, argument);
}

static void test_a_loader_that_cannot_start(void **state)
{
    (void)state;
    char *folder = scratch_create();
    tiny_corpus_create(folder, SPEAKERS, EACH);
    Corpus *corpus = corpus_open(folder, NULL);
    Sampler *sampler = sampler_create_plain(SPEAKERS * EACH, BATCH, 1);
    const BatchOptions options = {.corpus = corpus,
                                  .sampler = sampler,
                                  .seed = 1,
                                  .input = ENCODER_FBANK,
                                  .batch_size = BATCH,
                                  .groups = {{1, 40}},
                                  .n_groups = 1,
                                  .n_loaders = LOADERS,
                                  .end_step = 5};
    for (int loader = 0; loader <= LOADERS; loader++) {
        refused = loader;
        Batches *batches = batches_create(&options);
        const Batch *batch;
        Error error = {0};
        int status, n_batches = 0;
        while ((status = batches_next(batches, &batch, &error)) > 0)
            n_batches++;
        assert_int_equal(status, loader ? -1 : 0);
        if (loader)
            assert_non_null(strstr(error.text, "cannot be started (Resource temporarily unavailable)"));
        else
            assert_int_equal(n_batches, 5);
        batches_destroy(batches);
    }
    sampler_destroy(sampler);
    corpus_close(corpus);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_loader_that_cannot_start)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
