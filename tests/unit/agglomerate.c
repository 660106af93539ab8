// Agglomeration against the greedy algorithm on a full distance matrix, in double, with Lance-Williams
// updates; cuts, ties, weights.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/rng.h"
#include "cluster/agglomerate.h"
#include "score/cosine.h"

enum { MOST = 160 };

static double distance[MOST][MOST];

static void fill_distances(const float *rows, const double *weights, int n, int dim, Linkage linkage)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double squared = 0, dot = 0, a = weights ? weights[i] : 1, b = weights ? weights[j] : 1;
            for (int d = 0; d < dim; d++) {
                double difference = (double)rows[i * dim + d] - rows[j * dim + d];
                squared += difference * difference;
                dot += (double)rows[i * dim + d] * rows[j * dim + d];
            }
            distance[i][j] = linkage == LINKAGE_WARD ? sqrt(2 * a * b / (a + b) * squared) : 1 - dot;
        }
}

// Heights of the n - 1 merges, in order.
static void greedy_heights(const float *rows, const double *weights, int n, int dim, Linkage linkage,
                           double *heights)
{
    double size[MOST];
    for (int i = 0; i < n; i++)
        size[i] = weights ? weights[i] : 1;
    fill_distances(rows, weights, n, dim, linkage);
    for (int m = 0; m < n - 1; m++) {
        int a = -1, b = -1;
        for (int i = 0; i < n; i++)
            for (int j = i + 1; j < n; j++)
                if (size[i] > 0 && size[j] > 0 && (a < 0 || distance[i][j] < distance[a][b])) {
                    a = i;
                    b = j;
                }
        double z = heights[m] = distance[a][b], total = size[a] + size[b];
        for (int k = 0; k < n; k++) {
            if (k == a || k == b)
                continue;
            double x = distance[a][k], y = distance[b][k];
            double ward = ((size[a] + size[k]) * x * x + (size[b] + size[k]) * y * y - size[k] * z * z) /
                          (total + size[k]);
            distance[a][k] = distance[k][a] =
                linkage == LINKAGE_WARD ? sqrt(fmax(0, ward)) : (size[a] * x + size[b] * y) / total;
        }
        size[a] += size[b];
        size[b] = 0;
    }
}

static void compare_with_greedy(uint64_t seed, int n, int dim, Linkage linkage, bool weighted)
{
    Rng rng = rng_stream(seed, "agglomerate", (uint64_t)n, (uint64_t)linkage);
    float *rows = mem_alloc((size_t)(n * dim), sizeof(float));
    double weights[MOST], expected[MOST];
    for (int i = 0; i < n * dim; i++)
        rows[i] = (float)rng_normal(&rng);
    for (int i = 0; i < n; i++)
        weights[i] = 1 + (double)rng_below(&rng, 9);
    if (linkage == LINKAGE_AVERAGE)
        rows_normalise(rows, n, dim);
    greedy_heights(rows, weighted ? weights : NULL, n, dim, linkage, expected);
    Dendrogram d;
    Error error = {0};
    assert_int_equal(agglomerate(rows, weighted ? weights : NULL, n, dim, linkage, &d, &error), 0);
    double total = 0;
    for (int i = 0; i < n; i++)
        total += weighted ? weights[i] : 1;
    assert_true(fabs(d.merges[n - 2].size - total) < 1e-9);
    for (int m = 0; m < n - 1; m++)
        // Means are rounded to float: 6e-8 of a coordinate, and of 1 in a cosine.
        if (fabs(d.merges[m].height - expected[m]) > 1e-5 * expected[m] + 1e-6)
            fail_msg("n %d dim %d linkage %d: height %d is %.9f, expected %.9f", n, dim, linkage, m,
                     d.merges[m].height, expected[m]);
    dendrogram_release(&d);
    mem_free(rows);
}

static void equals_the_greedy_algorithm(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    const int sizes[][2] = {{2, 3}, {3, 1}, {17, 5}, {64, 2}, {160, 24}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int weighted = 0; weighted < 2; weighted++) {
            compare_with_greedy(seed, sizes[i][0], sizes[i][1], LINKAGE_WARD, weighted);
            if (sizes[i][1] > 1)
                compare_with_greedy(seed, sizes[i][0], sizes[i][1], LINKAGE_AVERAGE, weighted);
        }
}

// Points 0, 1 | 10, 11 | 30 on a line, by hand.
static void cuts_a_small_tree(void **state)
{
    (void)state;
    const float rows[5] = {0, 10, 1, 11, 30};
    Dendrogram d;
    Error error = {0};
    assert_int_equal(agglomerate(rows, NULL, 5, 1, LINKAGE_WARD, &d, &error), 0);
    int64_t labels[5];
    const int64_t three[5] = {0, 1, 0, 1, 2}, two[5] = {0, 0, 0, 0, 1};
    dendrogram_cut(&d, 3, labels);
    assert_memory_equal(labels, three, sizeof labels);
    dendrogram_cut(&d, 2, labels);
    assert_memory_equal(labels, two, sizeof labels);
    assert_true(fabs(d.merges[0].height - 1) < 1e-6 && fabs(d.merges[1].height - 1) < 1e-6);
    // two pairs, means 10 apart: sqrt(2 * 2 * 2 / 4) * 10
    assert_true(fabs(d.merges[2].height - sqrt(2) * 10) < 1e-5);
    assert_int_equal(dendrogram_count_at(&d, 0.5), 5);
    assert_int_equal(dendrogram_count_at(&d, 2), 3);
    assert_int_equal(dendrogram_count_at(&d, 1e9), 1);
    dendrogram_release(&d);
}

static void survives_equal_points(void **state)
{
    (void)state;
    enum { N = 300, DIM = 4 };
    float rows[N * DIM];
    for (int i = 0; i < N * DIM; i++)
        rows[i] = i / DIM % 3 == 0 ? 0.5F : -0.5F;
    for (int linkage = 0; linkage < 2; linkage++) {
        Dendrogram d;
        Error error = {0};
        assert_int_equal(agglomerate(rows, NULL, N, DIM, (Linkage)linkage, &d, &error), 0);
        int64_t labels[N];
        dendrogram_cut(&d, 2, labels);
        for (int i = 0; i < N; i++)
            assert_int_equal(labels[i], i % 3 != 0);
        dendrogram_release(&d);
    }
}

// Equal rows of length 1, whose product is 1 but for rounding, and lone ones: the equal ones merge at height
// 0, first, in both linkages, and no height is negative.
static void equal_points_merge_at_zero(void **state)
{
    (void)state;
    enum { N = 60, EQUAL = 50, DIM = 37 };
    static float rows[N * DIM];
    Rng rng = rng_stream((uint64_t)time(NULL), "equal points", 0, 0);
    for (int i = 0; i < N; i++)
        for (int d = 0; d < DIM; d++)
            rows[i * DIM + d] = i > 0 && i < EQUAL ? rows[d] : (float)rng_normal(&rng);
    rows_normalise(rows, N, DIM);
    for (int linkage = 0; linkage < 2; linkage++) {
        Dendrogram d;
        Error error = {0};
        int64_t labels[N];
        assert_int_equal(agglomerate(rows, NULL, N, DIM, (Linkage)linkage, &d, &error), 0);
        assert_int_equal(dendrogram_count_at(&d, 0), N - EQUAL + 1);
        for (int m = 0; m < N - 1; m++)
            assert_true(d.merges[m].height >= 0);
        dendrogram_cut(&d, N - EQUAL + 1, labels);
        for (int i = 0; i < N; i++)
            assert_int_equal(labels[i], i < EQUAL ? 0 : i - EQUAL + 1);
        dendrogram_release(&d);
    }
}

// Squares that overflow a float, and such that vanish in one: the groups are found all the same.
static void survives_extreme_lengths(void **state)
{
    (void)state;
    enum { N = 12, DIM = 3 };
    const float scales[] = {1e30F, 1e-15F};
    for (int s = 0; s < 2; s++) {
        float rows[N * DIM];
        for (int i = 0; i < N * DIM; i++)
            rows[i] = scales[s] * (float)((i / DIM % 3 == i % DIM ? 5 : 0) + 0.01 * (i / DIM));
        Dendrogram d;
        Error error = {0};
        int64_t labels[N];
        assert_int_equal(agglomerate(rows, NULL, N, DIM, LINKAGE_WARD, &d, &error), 0);
        assert_true(isfinite(d.merges[N - 2].height) && d.merges[0].height > 0);
        dendrogram_cut(&d, 3, labels);
        for (int i = 0; i < N; i++)
            assert_int_equal(labels[i], i % 3);
        dendrogram_release(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_greedy_algorithm), cmocka_unit_test(cuts_a_small_tree),
        cmocka_unit_test(survives_equal_points), cmocka_unit_test(equal_points_merge_at_zero),
        cmocka_unit_test(survives_extreme_lengths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
