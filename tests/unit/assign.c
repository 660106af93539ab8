// Embeddings that come later, in the space of clusters that are there: through a label shard and back.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/rng.h"
#include "cache/label_shard.h"
#include "cache/label_space.h"
#include "cluster/assign.h"
#include "cluster/clustering.h"
#include "score/cosine.h"

enum { SPEAKERS = 12, EACH = 20, DIM = 16, N = SPEAKERS * EACH };
static const double CHANNEL = 4; // outweighs the voices

// Speakers around points of their own, off the origin, under a channel in two directions.
static Embeddings voices(uint64_t stream, int64_t n_each, double channel)
{
    Embeddings e = {mem_alloc((size_t)(SPEAKERS * n_each), DIM * sizeof(float)),
                    mem_alloc((size_t)(SPEAKERS * n_each), sizeof(char *)), SPEAKERS * n_each, DIM};
    for (int64_t i = 0; i < e.n; i++) {
        Rng speaker = rng_stream(1, "speaker", (uint64_t)(i / n_each), 0);
        Rng own = rng_stream(1, "own", stream, (uint64_t)i);
        e.utts[i] = mem_printf("s%02d-%03d", (int)(i / n_each), (int)(i % n_each));
        for (int d = 0; d < DIM; d++)
            e.matrix[i * DIM + d] = (float)(rng_normal(&speaker) + 0.1 * rng_normal(&own) + 2 +
                                            (d < 2 ? channel * rng_normal(&own) : 0));
    }
    return e;
}

static Embeddings copy_of(const Embeddings *e)
{
    Embeddings copy = {mem_alloc((size_t)e->n, DIM * sizeof(float)), mem_alloc((size_t)e->n, sizeof(char *)),
                       e->n, e->dim};
    memcpy(copy.matrix, e->matrix, (size_t)e->n * DIM * sizeof(float));
    for (int64_t i = 0; i < e->n; i++)
        copy.utts[i] = mem_strdup(e->utts[i]);
    return copy;
}

typedef struct Made {
    char path[64];
    Clustering clustering;
    int64_t ids[N]; // of each utterance, far apart and out of order
    float *centroids;
} Made;

// Clusters of e (taken over), published as voxloop-cluster does.
static void make_labels(Embeddings e, int64_t whiten, Made *made)
{
    Error error = {0};
    ClusteringOptions options = clustering_defaults();
    int64_t classes[N] = {0};
    options.name = "test";
    options.clusters = "12";
    options.whiten = whiten;
    options.center = true;
    made->clustering = (Clustering){.embeddings = e};
    assert_int_equal(cluster_embeddings(&options, &made->clustering, classes, &error), 0);
    Clustering *c = &made->clustering;
    made->centroids = mem_zero(SPEAKERS, (size_t)c->embeddings.dim * sizeof(float));
    for (int64_t i = 0; i < c->embeddings.n; i++) {
        made->ids[i] = 7 * c->labels[i] + 3; // ascending with the label, so rows are in the labels' order
        for (int64_t d = 0; d < c->embeddings.dim; d++)
            made->centroids[c->labels[i] * c->embeddings.dim + d] +=
                c->embeddings.matrix[i * c->embeddings.dim + d];
    }
    rows_normalise(made->centroids, SPEAKERS, c->embeddings.dim);
    LabelShard labels = {.utts = c->embeddings.utts,
                         .ids = made->ids,
                         .n = c->embeddings.n,
                         .centroids = made->centroids,
                         .n_clusters = SPEAKERS,
                         .dim = c->embeddings.dim,
                         .merges = (float[4]){0},
                         .n_merges = 1,
                         .mean = c->mean,
                         .directions = c->directions,
                         .input_dim = c->input_dim};
    snprintf(made->path, sizeof made->path, "/tmp/voxloop-assign-%d.tar.zst", (int)getpid());
    assert_int_equal(label_shard_publish(made->path, &labels, &error), 0);
}

static void release(Made *made)
{
    mem_free(made->centroids);
    clustering_release(&made->clustering);
    unlink(made->path);
}

// The same recordings land where they were clustered: their rows are the same but for the rounding of the
// stored directions, and with well separated voices the nearest centroid is their own.
static void own_rows_come_home(int64_t whiten, double channel)
{
    Error error = {0};
    Made made;
    LabelSpace space;
    Embeddings e = voices(0, EACH, channel), again = copy_of(&e);
    make_labels(e, whiten, &made);
    assert_int_equal(label_space_load(made.path, &space, &error), 0);
    assert_int_equal(space.n_clusters, SPEAKERS);
    int64_t nearest[N];
    float cosines[N];
    assert_int_equal(assign_to_clusters(&space, "test", &again, nearest, cosines, &error), 0);
    assert_int_equal(again.dim, made.clustering.embeddings.dim);
    for (int64_t i = 0; i < again.n * again.dim; i++)
        assert_true(fabsf(again.matrix[i] - made.clustering.embeddings.matrix[i]) < 1e-4f);
    for (int64_t i = 0; i < again.n; i++)
        assert_int_equal(space.ids[nearest[i]], made.ids[i]);
    label_space_release(&space);
    embeddings_release(&again);
    release(&made);
}

static void own_rows_come_home_whitened(void **state)
{
    (void)state;
    own_rows_come_home(100, 1);
}

static void own_rows_come_home_centred(void **state)
{
    (void)state;
    own_rows_come_home(0, 0.1);
}

// Other recordings of the same voices go to the clusters of these; in the plain space, without what whitening
// takes away, many would not.
static void others_go_to_their_voice(void **state)
{
    (void)state;
    Error error = {0};
    Made made;
    LabelSpace space;
    make_labels(voices(0, EACH, CHANNEL), 100, &made);
    assert_int_equal(label_space_load(made.path, &space, &error), 0);
    Embeddings others = voices(1, 3, CHANNEL);
    int64_t nearest[3 * SPEAKERS], n_right = 0;
    float cosines[3 * SPEAKERS];
    assert_int_equal(assign_to_clusters(&space, "test", &others, nearest, cosines, &error), 0);
    for (int64_t i = 0; i < others.n; i++)
        n_right += space.ids[nearest[i]] == made.ids[i / 3 * EACH];
    assert_true(n_right >= 35); // of 36
    label_space_release(&space);
    embeddings_release(&others);
    release(&made);
}

static void another_models_embeddings_are_refused(void **state)
{
    (void)state;
    Error error = {0};
    Made made;
    LabelSpace space;
    make_labels(voices(0, EACH, CHANNEL), 100, &made);
    assert_int_equal(label_space_load(made.path, &space, &error), 0);
    Embeddings others = voices(1, 3, CHANNEL);
    others.dim = DIM / 2;
    int64_t nearest[3 * SPEAKERS];
    float cosines[3 * SPEAKERS];
    assert_int_equal(assign_to_clusters(&space, "others.npy", &others, nearest, cosines, &error), -1);
    assert_non_null(strstr(error.text, "others.npy has embeddings of 8 dimensions, the clusters are of 16"));
    label_space_release(&space);
    embeddings_release(&others);
    release(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_rows_come_home_whitened),
        cmocka_unit_test(own_rows_come_home_centred),
        cmocka_unit_test(others_go_to_their_voice),
        cmocka_unit_test(another_models_embeddings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
