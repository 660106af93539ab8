// Which utterances a step gets: nobody left out, classes apart, the same for the same seed at any starting
// step.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "train/sampler.h"

static void test_plain_covers_everybody(void **state)
{
    (void)state;
    enum { N = 23, BATCH = 5, EPOCHS = 4 };
    Sampler *sampler = sampler_create_plain(N, BATCH, 7);
    int64_t utts[BATCH], counts[N] = {0};
    for (int64_t step = 0; step < EPOCHS * N / BATCH + 1; step++) { // 95 of 92 utterances
        sampler_pick(sampler, step, utts);
        for (int b = 0; b < BATCH && step * BATCH + b < EPOCHS * N; b++)
            counts[utts[b]]++;
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(counts[i], EPOCHS);
    sampler_destroy(sampler);
}

static void test_batch_larger_than_corpus(void **state)
{
    (void)state;
    Sampler *sampler = sampler_create_plain(3, 8, 7);
    int64_t utts[8], counts[3] = {0};
    sampler_pick(sampler, 0, utts);
    for (int b = 0; b < 8; b++)
        counts[utts[b]]++;
    for (int i = 0; i < 3; i++)
        assert_in_range(counts[i], 2, 3);
    sampler_destroy(sampler);
}

// 4 classes of 10, 3, 1 and 6, at most 4 each, and an utterance without label: 12 per epoch.
enum { N = 21, CLASSES = 4, MOST = 4, BATCH = 4 };
static const int64_t LABELS[N] = {0, 0, 0, 0, 0, 1, 1, 1, 2, -1, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0};

static void test_balanced_epoch(void **state)
{
    (void)state;
    Sampler *sampler = sampler_create_balanced(LABELS, N, CLASSES, MOST, BATCH, 3);
    assert_true(sampler_steps_per_epoch(sampler) == 3);
    for (int64_t epoch = 0; epoch < 5; epoch++) {
        int64_t utts[BATCH], taken[CLASSES] = {0}, seen[N] = {0};
        for (int64_t step = 3 * epoch; step < 3 * epoch + 3; step++) {
            sampler_pick(sampler, step, utts);
            for (int b = 0; b < BATCH; b++) {
                assert_int_equal(seen[utts[b]]++, 0);
                taken[LABELS[utts[b]]]++;
            }
        }
        assert_int_equal(seen[9], 0);
        assert_int_equal(taken[0], 4);
        assert_int_equal(taken[1], 3);
        assert_int_equal(taken[2], 1);
        assert_int_equal(taken[3], 4);
    }
    sampler_destroy(sampler);
}

static void test_classes_apart(void **state)
{
    (void)state;
    enum { SPEAKERS = 40, EACH = 3, WIDE = 16 };
    int64_t labels[SPEAKERS * EACH], utts[WIDE];
    for (int i = 0; i < SPEAKERS * EACH; i++)
        labels[i] = i / EACH;
    Sampler *sampler = sampler_create_balanced(labels, SPEAKERS * EACH, SPEAKERS, 500, WIDE, 5);
    for (int64_t step = 0; step < 6; step++) { // the last of 7.5 batches may have to repeat a class
        int64_t in_batch[SPEAKERS] = {0};
        sampler_pick(sampler, step, utts);
        for (int b = 0; b < WIDE; b++)
            assert_int_equal(in_batch[labels[utts[b]]]++, 0);
    }
    sampler_destroy(sampler);
}

static void test_any_start(void **state)
{
    (void)state;
    Sampler *whole = sampler_create_balanced(LABELS, N, CLASSES, MOST, BATCH, 3);
    Sampler *late = sampler_create_balanced(LABELS, N, CLASSES, MOST, BATCH, 3);
    int64_t first[BATCH], again[BATCH];
    for (int64_t step = 0; step < 8; step++)
        sampler_pick(whole, step, first);
    sampler_pick(late, 7, again);
    assert_memory_equal(first, again, sizeof first);
    sampler_pick(late, 2, again); // and back
    sampler_pick(whole, 2, first);
    assert_memory_equal(first, again, sizeof first);
    sampler_destroy(whole);
    sampler_destroy(late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_covers_everybody),
        cmocka_unit_test(test_batch_larger_than_corpus),
        cmocka_unit_test(test_balanced_epoch),
        cmocka_unit_test(test_classes_apart),
        cmocka_unit_test(test_any_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
