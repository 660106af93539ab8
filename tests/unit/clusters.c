// k-means, quality measures, the cluster number and stable numbering against brute force and made mixtures.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/rng.h"
#include "cluster/choose_clusters.h"
#include "cluster/clustering.h"
#include "cluster/kmeans.h"
#include "cluster/quality.h"
#include "cluster/same_rows.h"
#include "cluster/stable_labels.h"
#include "score/cosine.h"

typedef struct Mixture {
    float *rows; // [n, DIM], length 1
    int64_t *speakers;
    int64_t n;
} Mixture;

enum { DIM = 64, LEAST_UTTS = 3, MOST_UTTS = 20, MOST_UNEVEN = 60 };

static int64_t even_size(Rng *rng)
{
    return LEAST_UTTS + (int64_t)rng_below(rng, MOST_UTTS - LEAST_UTTS + 1);
}

// 1 to 60, each half as likely as the half of it.
static int64_t uneven_size(Rng *rng)
{
    return (int64_t)exp(rng_range(rng, 0, log(MOST_UNEVEN)));
}

// Speakers are normal points; so many utterances each, with a spread of `noise` around them.
static Mixture mixture_of_sizes(uint64_t seed, int64_t n_speakers, double noise, int64_t (*draw_size)(Rng *))
{
    Rng rng = rng_stream(seed, "mixture", (uint64_t)n_speakers, 0);
    Mixture m = {mem_alloc((size_t)(n_speakers * MOST_UNEVEN), DIM * sizeof(float)),
                 mem_alloc((size_t)(n_speakers * MOST_UNEVEN), sizeof(int64_t)), 0};
    for (int64_t s = 0; s < n_speakers; s++) {
        double voice[DIM];
        for (int d = 0; d < DIM; d++)
            voice[d] = rng_normal(&rng);
        int64_t n_utts = draw_size(&rng);
        for (int64_t u = 0; u < n_utts; u++, m.n++) {
            m.speakers[m.n] = s;
            for (int d = 0; d < DIM; d++)
                m.rows[m.n * DIM + d] = (float)(voice[d] + noise * rng_normal(&rng));
        }
    }
    rows_normalise(m.rows, m.n, DIM);
    return m;
}

// 3 to 20 utterances each.
static Mixture mixture_create(uint64_t seed, int64_t n_speakers, double noise)
{
    return mixture_of_sizes(seed, n_speakers, noise, even_size);
}

static void mixture_release(Mixture *m)
{
    mem_free(m->rows);
    mem_free(m->speakers);
}

static uint64_t fresh_seed(void)
{
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    return seed;
}

static int64_t chosen_count(const Mixture *m, Linkage linkage)
{
    Dendrogram dendrogram;
    Sweep sweep;
    Error error = {0};
    const float *points = linkage == LINKAGE_AVERAGE ? m->rows : NULL;
    assert_int_equal(agglomerate(m->rows, NULL, m->n, DIM, linkage, &dendrogram, &error), 0);
    assert_int_equal(
        choose_clusters(&dendrogram, m->n, points, m->rows, m->n, DIM, NULL, 5000, NULL, &sweep, &error), 0);
    int64_t n_chosen = 0, count = sweep.n_clusters;
    for (int64_t i = 0; i < sweep.n_rows; i++)
        if (sweep.rows[i].chosen) {
            n_chosen++;
            assert_int_equal(sweep.rows[i].n_clusters, count);
        }
    assert_int_equal(n_chosen, 1); // the choice is a row of the sweep that is shown
    sweep_release(&sweep);
    dendrogram_release(&dendrogram);
    return count;
}

static void expect_count(Mixture m, int64_t n_speakers, Linkage linkage, double most, const char *what)
{
    int64_t chosen = chosen_count(&m, linkage);
    if (fabs((double)chosen / (double)n_speakers - 1) > most)
        fail_msg("%lld %s speakers, linkage %d: chose %lld", (long long)n_speakers, what, linkage,
                 (long long)chosen);
    mixture_release(&m);
}

static void chooses_the_number_of_speakers(void **state)
{
    (void)state;
    uint64_t seed = fresh_seed();
    const int64_t counts[] = {10, 40, 200, 1000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int linkage = 0; linkage < 2; linkage++)
            expect_count(mixture_create(seed, counts[i], 0.7), counts[i], (Linkage)linkage, 0.25, "clear");
}

// At a spread of 1.2 an utterance is nearer to other speakers' than to many of its own: cosines are .41 on
// average within a speaker, and .12 is the deviation of those between speakers.
static void cohesion_counts_speakers_that_overlap(void **state)
{
    (void)state;
    uint64_t seed = fresh_seed();
    const int64_t counts[] = {10, 30, 200, 600};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        expect_count(mixture_create(seed, counts[i], 1.2), counts[i], LINKAGE_AVERAGE, 0.4, "overlapping");
}

static void cohesion_counts_speakers_of_uneven_sizes(void **state)
{
    (void)state;
    uint64_t seed = fresh_seed();
    const int64_t counts[] = {30, 150};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int k = 0; k < 2; k++)
            expect_count(mixture_of_sizes(seed, counts[i], k ? 1.2 : 0.7, uneven_size), counts[i],
                         LINKAGE_AVERAGE, 0.4, k ? "overlapping uneven" : "uneven");
}

// One speaker only: not many pieces of one.
static void cohesion_keeps_one_speaker_together(void **state)
{
    (void)state;
    Mixture m = mixture_of_sizes(fresh_seed(), 1, 0.7, even_size);
    assert_int_equal(chosen_count(&m, LINKAGE_AVERAGE), 2); // the fewest there are
    mixture_release(&m);
}

// The agreement is high where every speaker is one cluster, and lower where speakers are cut in pieces or
// thrown together at random.
static void parts_agree_on_speakers(void **state)
{
    (void)state;
    Mixture m = mixture_create(fresh_seed(), 60, 0.7);
    Dendrogram dendrogram;
    Stability stability;
    Error error = {0};
    int64_t *labels = mem_alloc((size_t)m.n, sizeof(int64_t));
    double agreement[3];
    static const int64_t COUNTS[3] = {15, 60, 240};
    assert_int_equal(agglomerate(m.rows, NULL, m.n, DIM, LINKAGE_WARD, &dendrogram, &error), 0);
    assert_int_equal(stability_begin(m.rows, NULL, m.n, DIM, LINKAGE_WARD, 1, &stability, &error), 0);
    for (int i = 0; i < 3; i++) {
        dendrogram_cut(&dendrogram, COUNTS[i], labels);
        agreement[i] = stability_measure(&stability, labels, COUNTS[i]);
        assert_true(agreement[i] == stability_measure(&stability, labels, COUNTS[i]));
    }
    for (int64_t i = 0; i < m.n; i++)
        labels[i] = 0;
    assert_true(stability_measure(&stability, labels, 1) >= 0); // one cluster: nothing to compare
    if (!(agreement[1] > 0.95 && agreement[1] > agreement[0] + 0.1 && agreement[1] > agreement[2] + 0.1))
        fail_msg("%.3f for 15, %.3f for 60, %.3f for 240 clusters", agreement[0], agreement[1], agreement[2]);
    mem_free(labels);
    stability_release(&stability);
    dendrogram_release(&dendrogram);
    mixture_release(&m);
}

static double brute_silhouette(const Mixture *m, int64_t n_clusters)
{
    double total = 0;
    for (int64_t i = 0; i < m->n; i++) {
        double *sum = mem_zero((size_t)n_clusters, sizeof(double));
        double *count = mem_zero((size_t)n_clusters, sizeof(double));
        for (int64_t j = 0; j < m->n; j++) {
            double dot = 0;
            for (int d = 0; d < DIM; d++)
                dot += (double)m->rows[i * DIM + d] * m->rows[j * DIM + d];
            sum[m->speakers[j]] += i == j ? 0 : 1 - dot;
            count[m->speakers[j]] += i != j;
        }
        double a = sum[m->speakers[i]] / count[m->speakers[i]], b = INFINITY;
        for (int64_t c = 0; c < n_clusters; c++)
            if (c != m->speakers[i])
                b = fmin(b, sum[c] / count[c]);
        total += (b - a) / fmax(a, b);
        mem_free(sum);
        mem_free(count);
    }
    return total / (double)m->n;
}

static void silhouette_equals_brute_force(void **state)
{
    (void)state;
    Mixture m = mixture_create(fresh_seed(), 12, 0.9);
    double silhouette;
    Error error = {0};
    assert_int_equal(silhouette_measure(m.rows, m.n, DIM, m.speakers, 12, 0, &silhouette, &error), 0);
    double expected = brute_silhouette(&m, 12);
    if (fabs(silhouette - expected) > 1e-5)
        fail_msg("silhouette %.8f, brute force %.8f", silhouette, expected);
    mixture_release(&m);
}

// Rows that differ by rounding alone, cut apart: no silhouette is made of that, and none is beyond 1.
static void silhouette_of_equal_rows_is_bounded(void **state)
{
    (void)state;
    enum { N = 60, EQUAL = 50 };
    Rng rng = rng_stream(fresh_seed(), "equal rows", 0, 0);
    static float rows[N * DIM];
    int64_t labels[N];
    for (int i = 0; i < N; i++)
        for (int d = 0; d < DIM; d++)
            rows[i * DIM + d] = i > 0 && i < EQUAL ? rows[d] * (float)(1 + i % 5) : (float)rng_normal(&rng);
    rows_normalise(rows, N, DIM);
    for (int k = 2; k < EQUAL; k++) {
        for (int i = 0; i < N; i++)
            labels[i] = i < EQUAL ? i % (k - 1) : k - 1;
        double silhouette;
        Error error = {0};
        assert_int_equal(silhouette_measure(rows, N, DIM, labels, k, 0, &silhouette, &error), 0);
        if (!(silhouette >= -1 && silhouette <= 1) || (k > 2 && silhouette > 0.1))
            fail_msg("silhouette %g of %d clusters", silhouette, k);
    }
}

static void equal_rows_are_found(void **state)
{
    (void)state;
    const float rows[] = {1, 2, 0, 3, 1, 2, -0.0F, 3, 2, 1, 0, 3, NAN, 1};
    const int64_t expected[] = {0, 1, 0, 1, 2, 1, 3};
    int64_t group[7];
    assert_int_equal(same_rows(rows, 7, 2, group), 4);
    assert_memory_equal(group, expected, sizeof expected);
}

// Embeddings e = {matrix, names}; the cut is by count.
static int cluster_rows(const float *rows, int64_t n, ClusteringOptions options, Clustering *c, Error *error)
{
    *c = (Clustering){.embeddings = {mem_alloc((size_t)n, DIM * sizeof(float)),
                                     mem_alloc((size_t)n, sizeof(char *)), n, DIM}};
    memcpy(c->embeddings.matrix, rows, (size_t)n * DIM * sizeof(float));
    for (int64_t i = 0; i < n; i++)
        c->embeddings.utts[i] = mem_printf("u%03d", (int)i);
    options.name = "these";
    int64_t *classes = mem_zero((size_t)n, sizeof(int64_t));
    int status = cluster_embeddings(&options, c, classes, error);
    mem_free(classes);
    return status;
}

// Copies of whole recordings, more than half of all: through every way to the labels they stay together, and
// cuts that would have to part them are refused.
static void copies_stay_together(void **state)
{
    (void)state;
    enum { N = 240, KINDS = 70 };
    Rng rng = rng_stream(fresh_seed(), "copies", 0, 0);
    static float rows[N * DIM];
    int kind[N];
    for (int i = 0; i < N; i++) {
        kind[i] = i < KINDS ? i : (int)rng_below(&rng, KINDS / 5);
        for (int d = 0; d < DIM; d++)
            rows[i * DIM + d] = i < KINDS ? (float)rng_normal(&rng) : rows[kind[i] * DIM + d];
    }
    for (int way = 0; way < 32; way++) {
        ClusteringOptions options = clustering_defaults();
        options.linkage = way & 1 ? "average" : "ward";
        options.centroids = way & 2 ? 40 : 0;
        options.weighted = way & 4;
        options.whiten = way & 8 ? 10 : 0;
        options.clusters = way & 16 ? "35" : "auto";
        Clustering c;
        Error error = {0};
        if (cluster_rows(rows, N, options, &c, &error) < 0)
            fail_msg("way %d: %s", way, error.text);
        for (int i = KINDS; i < N; i++)
            assert_int_equal(c.labels[i], c.labels[kind[i]]);
        for (int64_t r = 0; r < c.sweep.n_rows; r++)
            assert_true(c.sweep.rows[r].silhouette <= 1 && c.sweep.rows[r].silhouette >= -1 &&
                        c.sweep.rows[r].n_clusters <= KINDS);
        clustering_release(&c);
    }
    Clustering c;
    Error error = {0};
    ClusteringOptions options = clustering_defaults();
    options.clusters = "71";
    assert_int_equal(cluster_rows(rows, N, options, &c, &error), -1);
    assert_non_null(strstr(error.text, "71 clusters cannot be made from 70 different"));
    clustering_release(&c);
}

// Pair counts over all pairs.
static void agreement_equals_brute_force(void **state)
{
    (void)state;
    enum { N = 120 };
    Rng rng = rng_stream(fresh_seed(), "agreement", 0, 0);
    int64_t a[N], b[N];
    for (int i = 0; i < N; i++) {
        a[i] = (int64_t)rng_below(&rng, 7);
        b[i] = rng_below(&rng, 3) ? a[i] : (int64_t)rng_below(&rng, 9);
    }
    double both = 0, same_a = 0, same_b = 0, pairs = N * (N - 1) / 2.0;
    for (int i = 0; i < N; i++)
        for (int j = i + 1; j < N; j++) {
            both += a[i] == a[j] && b[i] == b[j];
            same_a += a[i] == a[j];
            same_b += b[i] == b[j];
        }
    Agreement m;
    agreement_measure(a, b, N, &m);
    assert_true(fabs(m.pair_precision - both / same_b) < 1e-12);
    assert_true(fabs(m.pair_recall - both / same_a) < 1e-12);
    double chance = same_a * same_b / pairs;
    assert_true(fabs(m.ari - (both - chance) / ((same_a + same_b) / 2 - chance)) < 1e-12);
}

static void kmeans_finds_separate_groups(void **state)
{
    (void)state;
    Mixture m = mixture_create(fresh_seed(), 8, 0.1);
    KmeansOptions options = kmeans_defaults(8);
    options.spherical = true;
    options.n_redo = 10; // a single start may put two centroids into one group
    Kmeans first, second;
    Error error = {0};
    assert_int_equal(kmeans(m.rows, m.n, DIM, &options, &first, &error), 0);
    assert_int_equal(kmeans(m.rows, m.n, DIM, &options, &second, &error), 0);
    assert_memory_equal(first.labels, second.labels, (size_t)m.n * sizeof(int64_t));
    Agreement agreement;
    agreement_measure(m.speakers, first.labels, m.n, &agreement);
    assert_true(agreement.nmi > 0.9);
    kmeans_release(&first);
    kmeans_release(&second);
    mixture_release(&m);
}

static void kmeans_refuses_bad_input(void **state)
{
    (void)state;
    float rows[4] = {1, 0, 0, 2};
    KmeansOptions options = kmeans_defaults(3);
    Kmeans result;
    Error error = {0};
    assert_int_equal(kmeans(rows, 2, 2, &options, &result, &error), -1);
    assert_non_null(strstr(error.text, "3 centroids from 2 rows"));
    error_clear(&error);
    options.n_centroids = 2;
    options.spherical = true;
    assert_int_equal(kmeans(rows, 2, 2, &options, &result, &error), -1);
    assert_non_null(strstr(error.text, "needs length 1"));
    error_clear(&error);
    rows[0] = NAN;
    assert_int_equal(kmeans(rows, 2, 2, &options, &result, &error), -1);
    assert_non_null(strstr(error.text, "not finite"));
}

static void numbers_follow_the_larger_overlap(void **state)
{
    (void)state;
    // Cluster 0 shares 3 with number 7 and 1 with 2; cluster 1 shares 1 with 7; cluster 2 is new.
    const int64_t labels[] = {0, 0, 0, 0, 1, 2, 2}, previous[] = {7, 7, 7, 2, 7, -1, -1}, used[] = {7, 2, 0};
    int64_t ids[3];
    assert_int_equal(stable_label_ids(labels, previous, 7, 3, used, 3, ids), 1);
    assert_int_equal(ids[0], 7);
    assert_int_equal(ids[1], 1); // 0 and 2 were used before
    assert_int_equal(ids[2], 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chooses_the_number_of_speakers),
                                       cmocka_unit_test(cohesion_counts_speakers_that_overlap),
                                       cmocka_unit_test(cohesion_counts_speakers_of_uneven_sizes),
                                       cmocka_unit_test(cohesion_keeps_one_speaker_together),
                                       cmocka_unit_test(parts_agree_on_speakers),
                                       cmocka_unit_test(silhouette_equals_brute_force),
                                       cmocka_unit_test(agreement_equals_brute_force),
                                       cmocka_unit_test(kmeans_finds_separate_groups),
                                       cmocka_unit_test(kmeans_refuses_bad_input),
                                       cmocka_unit_test(numbers_follow_the_larger_overlap),
                                       cmocka_unit_test(silhouette_of_equal_rows_is_bounded),
                                       cmocka_unit_test(equal_rows_are_found),
                                       cmocka_unit_test(copies_stay_together)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
