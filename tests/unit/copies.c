// Recordings with the same samples: found at any number of them, also behind an interruption, and their
// labels are not lost.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/copies.h"
#include "cache/publish.h"
#include "damage.h"
#include "tiny_corpus.h"
#include "train/labelling.h"

static void test_the_first_is_found_among_many(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    Copies *copies = copies_create();
    for (int64_t i = 0; i < MANY; i++) {
        int16_t samples[3] = {(int16_t)i, (int16_t)(i >> 8), 7};
        assert_int_equal(copies_find(copies, copies_digest(samples, 3), 3, i), -1);
    }
    for (int64_t i = 0; i < MANY; i += 7) {
        int16_t samples[3] = {(int16_t)i, (int16_t)(i >> 8), 7};
        assert_int_equal(copies_find(copies, copies_digest(samples, 3), 3, MANY + i), i);
    }
    // Equal digests of other lengths are no copies.
    assert_int_equal(copies_find(copies, 5, 100, 1), -1);
    assert_int_equal(copies_find(copies, 5, 101, 2), -1);
    assert_int_equal(copies_find(copies, 5, 100, 3), 1);
    copies_destroy(copies);
}

static void test_finished_shards_are_remembered(void **state)
{
    (void)state;
    char *folder = scratch_create();
    tiny_corpus_create(folder, 2, 2);
    Corpus *corpus = corpus_open(folder, NULL);
    char *shard = path_join(folder, "audio-00000.tar.zst");
    Copies *copies = copies_create();
    assert_int_equal(copies_take_shard(copies, shard, corpus_utts(corpus), corpus_count(corpus), NULL), 0);
    for (int64_t i = 0; i < corpus_count(corpus); i++) {
        int64_t n = corpus_samples(corpus, i);
        float *samples = mem_alloc((size_t)n, sizeof(float));
        int16_t *pcm = mem_alloc((size_t)n, sizeof(int16_t));
        assert_int_equal(corpus_read(corpus, i, 0, n, samples, NULL), 0);
        for (int64_t t = 0; t < n; t++)
            pcm[t] = (int16_t)(samples[t] * 32768);
        assert_int_equal(copies_find(copies, copies_digest(pcm, n), n, 99), i);
        mem_free(pcm);
        mem_free(samples);
    }
    copies_destroy(copies);
    mem_free(shard);
    corpus_close(corpus);
    scratch_remove(folder);
}

// s0/u0, s0/u1, s1/u0, s1/u1; a/copy is one of s0/u1, which has no label itself, z/copy one of s1/u0, which
// has.
static void test_labels_of_copies(void **state)
{
    (void)state;
    char *folder = scratch_create(), *rejects = path_join(folder, "rejects.tsv"),
         *list = path_join(folder, "list");
    tiny_corpus_create(folder, 2, 2);
    assert_int_equal(publish_text(rejects,
                                  "path\treason\na/copy\tthe same audio as s0/u1\nb/else\tsilent\n"
                                  "z/copy\tthe same audio as s1/u0\ny/copy\tthe same audio as nobody\n",
                                  NULL),
                     0);
    assert_int_equal(publish_text(list, "s0/u0 first\ns1/u0 second\na/copy first\nz/copy first\n", NULL), 0);
    Corpus *corpus = corpus_open(folder, NULL);
    Labelling labelling;
    assert_int_equal(labelling_load(list, corpus, &labelling, NULL), 0);
    assert_int_equal(labelling.n_classes, 2);
    assert_int_equal(labelling.labels[1], labelling.labels[0]);
    assert_int_not_equal(labelling.labels[2], labelling.labels[0]); // its own label, not the copy's
    assert_int_equal(labelling.labels[3], -1);
    labelling_release(&labelling);
    corpus_close(corpus);
    mem_free(list);
    mem_free(rejects);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_is_found_among_many),
        cmocka_unit_test(test_finished_shards_are_remembered),
        cmocka_unit_test(test_labels_of_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
