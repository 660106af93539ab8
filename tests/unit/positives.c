// Positives from other recordings: whose they are, what happens to the lone and the unseen, and that batches
// take their first group from them.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "damage.h"
#include "tiny_corpus.h"
#include "train/batches.h"

enum { VOICES = 3, EACH = 4, N = VOICES * EACH, DIM = 5, DRAWS = 600 };

// Utterance u is of voice u % VOICES; two views of each, near the voice's axis.
static void record(Positives *p, const int64_t *utts, int64_t n)
{
    Rng rng = rng_stream(3, "voices", 0, 0);
    float *embeddings = mem_alloc((size_t)(2 * n * DIM), sizeof(float));
    for (int64_t row = 0; row < 2 * n; row++)
        for (int64_t d = 0; d < DIM; d++)
            embeddings[row * DIM + d] =
                7 * (float)(d == utts[row % n] % VOICES) + 0.1f * (float)rng_normal(&rng);
    positives_record(p, utts, n, 2, embeddings);
    mem_free(embeddings);
}

static Positives *create_recorded(int64_t n_seen)
{
    Positives *p = positives_create(N, DIM, NULL);
    int64_t utts[N];
    for (int64_t i = 0; i < n_seen; i++)
        utts[i] = i;
    record(p, utts, n_seen);
    return p;
}

static void test_memory(void **state)
{
    (void)state;
    Positives *p = positives_create(2, 2, NULL);
    positives_record(p, (int64_t[]){1}, 1, 2, (float[]){3, 1, 3, 7});
    assert_true(p->memory[0] == 0 && p->memory[1] == 0);
    assert_true(fabs(p->memory[2] - 0.6) < 1e-6 && fabs(p->memory[3] - 0.8) < 1e-6);
    positives_destroy(p);
}

// Each of the others of one's own voice, about equally often, and never oneself.
static void test_pick(void **state)
{
    (void)state;
    Positives *p = create_recorded(N);
    assert_int_equal(positives_cluster(p, VOICES, 1, NULL), 0);
    int64_t count[N] = {0};
    Rng rng = rng_stream(5, "pick", 0, 0);
    for (int i = 0; i < DRAWS; i++)
        count[positives_pick(p, 4, &rng)]++;
    for (int64_t utt = 0; utt < N; utt++) {
        if (utt % VOICES == 4 % VOICES && utt != 4)
            assert_in_range(count[utt], DRAWS / (EACH - 1) * 3 / 4, DRAWS / (EACH - 1) * 5 / 4);
        else
            assert_int_equal(count[utt], 0);
    }
    positives_destroy(p);
}

static void test_lone_and_unseen(void **state)
{
    (void)state;
    Positives *p = create_recorded(VOICES + 1); // voice 0 twice, the others once
    Rng rng = rng_stream(5, "pick", 0, 0);
    assert_int_equal(positives_pick(p, 2, &rng), 2); // no clusters yet
    assert_int_equal(positives_cluster(p, VOICES, 1, NULL), 0);
    assert_int_equal(positives_pick(p, 0, &rng), VOICES);
    assert_int_equal(positives_pick(p, VOICES, &rng), 0);
    assert_int_equal(positives_pick(p, 1, &rng), 1);
    assert_int_equal(positives_pick(p, N - 1, &rng), N - 1);
    assert_int_equal(positives_cluster(p, N, 1, NULL), 0); // more clusters than were seen
    assert_int_equal(positives_pick(p, 0, &rng), 0);
    positives_destroy(p);
    p = positives_create(N, DIM, NULL);
    assert_int_equal(positives_cluster(p, VOICES, 1, NULL), 0); // nothing seen
    assert_int_equal(positives_pick(p, 0, &rng), 0);
    positives_destroy(p);
}

// The second group keeps its recording, whatever the first one's.
static void test_batches(void **state)
{
    (void)state;
    char *folder = scratch_create();
    tiny_corpus_create(folder, VOICES, EACH);
    Corpus *corpus = corpus_open(folder, NULL);
    Sampler *sampler = sampler_create_plain(N, VOICES, 1);
    Positives *p = create_recorded(N);
    assert_int_equal(positives_cluster(p, VOICES, 1, NULL), 0);
    float *inputs[2];
    for (int with = 0; with < 2; with++) {
        BatchOptions options = {.corpus = corpus,
                                .sampler = sampler,
                                .positives = with ? p : NULL,
                                .input = ENCODER_WAVEFORM,
                                .batch_size = VOICES,
                                .groups = {{2, 25}, {1, 25}},
                                .n_groups = 2,
                                .n_loaders = 1,
                                .end_step = 1};
        Batches *batches = batches_create(&options);
        const Batch *batch;
        assert_int_equal(batches_next(batches, &batch, NULL), 1);
        for (int i = 0; i < VOICES; i++) {
            assert_int_equal(batch->positives[i] % VOICES, batch->utts[i] % VOICES);
            assert_int_equal(batch->positives[i] != batch->utts[i], with);
        }
        size_t long_floats = (size_t)(2 * VOICES * crop_samples(&options.groups[0]));
        inputs[with] = mem_alloc(long_floats + long_floats / 2, sizeof(float));
        memcpy(inputs[with], batch->inputs[0], long_floats * sizeof(float));
        memcpy(inputs[with] + long_floats, batch->inputs[1], long_floats / 2 * sizeof(float));
        if (with) {
            assert_memory_not_equal(inputs[0], inputs[1], long_floats * sizeof(float));
            assert_memory_equal(inputs[0] + long_floats, inputs[1] + long_floats,
                                long_floats / 2 * sizeof(float));
        }
        batches_destroy(batches);
    }
    mem_free(inputs[0]);
    mem_free(inputs[1]);
    positives_destroy(p);
    sampler_destroy(sampler);
    corpus_close(corpus);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory), cmocka_unit_test(test_pick),
                                       cmocka_unit_test(test_lone_and_unseen),
                                       cmocka_unit_test(test_batches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
