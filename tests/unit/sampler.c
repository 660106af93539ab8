// Which utterances a step gets: nobody left out, classes apart, the same for the same seed at any starting
// step.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/rng.h"
#include "gradcheck.h"
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

// A labelling as clustering leaves them: classes of 1 to 20 utterances, every tenth utterance without one.
typedef struct Labelling {
    int64_t n_classes, most, batch_size, n;
    int64_t labels[1600], sizes[40]; // [n], [n_classes]
} Labelling;

static Labelling draw_labelling(uint64_t draw)
{
    Rng rng = rng_stream(test_seed(), "labelling", draw, 0);
    Labelling l = {.n_classes = 2 + (int64_t)rng_below(&rng, 39),
                   .most = 1 + (int64_t)rng_below(&rng, 12),
                   .batch_size = 2 + (int64_t)rng_below(&rng, 30)};
    for (int64_t c = 0; c < l.n_classes; c++) {
        l.sizes[c] = 1 + (int64_t)rng_below(&rng, 20);
        for (int64_t i = 0; i < l.sizes[c]; i++) {
            l.labels[l.n++] = c;
            if (rng_below(&rng, 10) == 0)
                l.labels[l.n++] = -1;
        }
    }
    rng_shuffle(&rng, l.labels, l.n);
    return l;
}

static int64_t share_of(const Labelling *l, int64_t c)
{
    return l->sizes[c] < l->most ? l->sizes[c] : l->most;
}

// One epoch's utterances in their order; those behind n_epoch only fill up its last batch.
static void check_epoch(const Labelling *l, const int64_t *utts, int64_t n_epoch, int64_t n_filled)
{
    int64_t seen[1600] = {0}, left[40], last_batch[40];
    for (int64_t c = 0; c < l->n_classes; c++) {
        left[c] = share_of(l, c);
        last_batch[c] = -1;
    }
    for (int64_t i = 0; i < n_epoch; i++) {
        int64_t c = l->labels[utts[i]], batch = i / l->batch_size;
        assert_true(c >= 0);
        assert_int_equal(seen[utts[i]]++, 0);
        if (last_batch[c] == batch) // then no class is left that the batch lacks
            for (int64_t other = 0; other < l->n_classes; other++)
                assert_true(left[other] == 0 || last_batch[other] == batch);
        last_batch[c] = batch;
        left[c]--;
    }
    for (int64_t c = 0; c < l->n_classes; c++)
        assert_int_equal(left[c], 0);
    for (int64_t i = n_epoch; i < n_filled; i++)
        assert_int_equal(seen[utts[i]], 1);
}

static void test_any_labelling(void **state)
{
    (void)state;
    enum { EPOCHS = 3 };
    for (uint64_t draw = 0; draw < 50; draw++) {
        Labelling l = draw_labelling(draw);
        int64_t n_epoch = 0;
        for (int64_t c = 0; c < l.n_classes; c++)
            n_epoch += share_of(&l, c);
        int64_t n_steps = (n_epoch + l.batch_size - 1) / l.batch_size, n_filled = n_steps * l.batch_size;
        int64_t utts[1000], again[1000], other[1000];
        Sampler *sampler = sampler_create_balanced(l.labels, l.n, l.n_classes, l.most, l.batch_size, draw);
        Sampler *same = sampler_create_balanced(l.labels, l.n, l.n_classes, l.most, l.batch_size, draw);
        assert_true(sampler_steps_per_epoch(sampler) == (double)n_steps);
        for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
            for (int64_t k = 0; k < n_steps; k++) {
                sampler_pick(sampler, epoch * n_steps + k, utts + k * l.batch_size);
                sampler_pick(same, epoch * n_steps + k, again + k * l.batch_size);
            }
            check_epoch(&l, utts, n_epoch, n_filled);
            assert_memory_equal(utts, again, (size_t)n_filled * sizeof *utts);
            if (epoch > 0 && n_epoch > 20) // one order in 20! is another's
                assert_memory_not_equal(utts, other, (size_t)n_filled * sizeof *utts);
            memcpy(other, utts, sizeof utts);
        }
        sampler_destroy(sampler);
        sampler_destroy(same);
    }
}

// What an epoch leaves out of a large class comes in another.
static void test_large_classes_take_turns(void **state)
{
    (void)state;
    enum { EACH = 30, TAKEN = 5, EPOCHS = 120 }; // an utterance misses all of them once in (6/5)^120 = 3e9
    int64_t labels[2 * EACH], seen[2 * EACH] = {0}, utts[2 * TAKEN];
    for (int i = 0; i < 2 * EACH; i++)
        labels[i] = i / EACH;
    Sampler *sampler = sampler_create_balanced(labels, 2 * EACH, 2, TAKEN, 2 * TAKEN, test_seed());
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
        sampler_pick(sampler, epoch, utts);
        for (int b = 0; b < 2 * TAKEN; b++)
            seen[utts[b]]++;
    }
    for (int i = 0; i < 2 * EACH; i++)
        assert_true(seen[i] > 0);
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

// Whatever the labelling: batches of different classes, views of one class, and no two the same in a group.
static void check_groups(const Labelling *l, int64_t n_views, bool same)
{
    int64_t per_batch = l->n_classes < 5 ? l->n_classes : 5, batch_size = per_batch * n_views;
    int64_t *utts = mem_alloc((size_t)batch_size, sizeof(int64_t)),
            *times = mem_zero((size_t)l->n, sizeof *times);
    Sampler *sampler =
        sampler_create_grouped(l->labels, l->n, l->n_classes, l->most, batch_size, n_views, same, 3);
    // An epoch has one of a class's n utterances at least: one is missed 25 n times once in e^25 = 7e10.
    int64_t n_steps = 25 * l->n * (int64_t)sampler_steps_per_epoch(sampler);
    for (int64_t step = 0; step < n_steps; step++) {
        bool in_batch[40] = {false};
        sampler_pick(sampler, step, utts);
        for (int64_t c = 0; c < per_batch; c++) {
            int64_t label = l->labels[utts[c]];
            assert_true(label >= 0 && !in_batch[label]);
            in_batch[label] = true;
            for (int64_t v = 1; v < n_views; v++) {
                assert_int_equal(l->labels[utts[v * per_batch + c]], label);
                assert_true(same == (utts[v * per_batch + c] == utts[c]));
            }
            for (int64_t v = 0; v < n_views; v++)
                times[utts[v * per_batch + c]]++;
        }
    }
    for (int64_t i = 0; i < l->n; i++) // everybody has a turn
        assert_true((times[i] > 0) == (l->labels[i] >= 0));
    mem_free(utts);
    mem_free(times);
    sampler_destroy(sampler);
}

static void test_groups(void **state)
{
    (void)state;
    for (uint64_t draw = 0; draw < 30; draw++) {
        Labelling l = draw_labelling(draw);
        l.most = 1000; // or a class larger than all others together would take more epochs
        check_groups(&l, 2, true);
        for (int64_t i = 0; i < l.n; i++)
            if (l.labels[i] >= 0 && l.sizes[l.labels[i]] < 2)
                l.sizes[l.labels[i]] = 0; // classes of one are left out
        int64_t renumbered[40], n = 0;
        for (int64_t c = 0; c < l.n_classes; c++)
            renumbered[c] = l.sizes[c] >= 2 ? n++ : -1;
        for (int64_t i = 0; i < l.n; i++)
            l.labels[i] = l.labels[i] < 0 ? -1 : renumbered[l.labels[i]];
        l.n_classes = n;
        if (n > 0)
            check_groups(&l, 2, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_covers_everybody),
        cmocka_unit_test(test_batch_larger_than_corpus),
        cmocka_unit_test(test_balanced_epoch),
        cmocka_unit_test(test_classes_apart),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_any_labelling),
        cmocka_unit_test(test_large_classes_take_turns),
        cmocka_unit_test(test_any_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
