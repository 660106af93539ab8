// Ward and average cosine linkage against scipy's and scikit-learn's, k-means against FAISS's own spread.
// Complete and average Euclidean linkage are not offered, nor k-means from given centroids (the C API of
// FAISS cannot take them); their cases are named and passed over.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/memory.h"
#include "cluster/agglomerate.h"
#include "cluster/kmeans.h"
#include "cluster/quality.h"
#include "golden.h"
#include "score/cosine.h"

static float *copy_rows(const SafeTensor *tensor, bool normalise)
{
    assert_non_null(tensor);
    float *rows = mem_alloc((size_t)tensor->n_elements, sizeof(float));
    memcpy(rows, tensor->data, (size_t)tensor->n_elements * sizeof(float));
    if (normalise)
        assert_int_equal(rows_normalise(rows, tensor->dim[0], tensor->dim[1]), -1);
    return rows;
}

static void check_cut(const Golden *golden, const char *name, const Dendrogram *dendrogram, int64_t k)
{
    const SafeTensor *expected = golden_find(golden, "out.%s.labels_k%d", name, (int)k);
    assert_non_null(expected);
    int64_t n = dendrogram->n_points, *labels = mem_alloc((size_t)n, sizeof(int64_t));
    dendrogram_cut(dendrogram, k, labels);
    for (int64_t i = 0; i < n; i++) {
        int32_t label;
        memcpy(&label, (const char *)expected->data + 4 * i, 4);
        if (labels[i] != label)
            fail_msg("%s, %lld clusters: sample %lld has label %lld, expected %d", name, (long long)k,
                     (long long)i, (long long)labels[i], label);
    }
    mem_free(labels);
}

static void check_linkage(const Golden *golden, const char *name, Linkage linkage, double tolerance)
{
    const SafeTensor *x = golden_tensor(golden, "in.x");
    float *rows = copy_rows(x, linkage == LINKAGE_AVERAGE);
    Dendrogram dendrogram;
    Error error = {0};
    assert_int_equal(agglomerate(rows, NULL, x->dim[0], x->dim[1], linkage, &dendrogram, &error), 0);
    const SafeTensor *heights = golden_find(golden, "out.%s.heights", name);
    assert_non_null(heights);
    for (int64_t m = 0; m < heights->n_elements; m++) {
        double expected = ((const float *)heights->data)[m], actual = dendrogram.merges[m].height;
        if (!(fabs(actual - expected) <= tolerance * fabs(expected)))
            fail_msg("%s: height %lld is %.8f, expected %.8f", name, (long long)m, actual, expected);
    }
    const cJSON *config = golden_case(golden, name), *cuts = golden_item(config, "n_clusters");
    golden_known(config, "relative_height_gap_at_cut", "height", NULL);
    golden_fixed_text(config, "linkage", linkage == LINKAGE_AVERAGE ? "average" : "ward");
    golden_fixed_text(config, "metric", linkage == LINKAGE_AVERAGE ? "cosine" : "euclidean");
    assert_true(cJSON_GetArraySize(cuts) > 0);
    for (int i = 0; i < cJSON_GetArraySize(cuts); i++)
        check_cut(golden, name, &dendrogram, cJSON_GetArrayItem(cuts, i)->valueint);
    dendrogram_release(&dendrogram);
    mem_free(rows);
}

static void linkages_match(void **state)
{
    (void)state;
    Golden *golden = golden_open("clustering.safetensors");
    check_linkage(golden, "ward_euclidean", LINKAGE_WARD, 1e-4);
    check_linkage(golden, "average_cosine", LINKAGE_AVERAGE, 1e-5);
    printf("passed over: average_euclidean, complete_euclidean, complete_cosine (not offered)\n");
    golden_close(golden);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The median over ten seeds is within 1 % of the reference median.
static void check_kmeans(const Golden *golden, const char *name)
{
    const cJSON *config = golden_case(golden, name), *seeds = golden_item(config, "seeds");
    bool spherical = golden_number(config, "spherical") != 0;
    golden_known(config, "input", "target", "spread", NULL);
    assert_int_equal(cJSON_GetArraySize(seeds), 10);
    const SafeTensor *x = golden_tensor(golden, "in.kmeans.x");
    float *rows = copy_rows(x, spherical);
    KmeansOptions options = kmeans_defaults((int64_t)golden_number(config, "k"));
    options.n_iterations = (int)golden_number(config, "iterations");
    options.spherical = spherical;
    double objectives[10];
    for (int i = 0; i < 10; i++) {
        Kmeans found;
        Error error = {0};
        options.seed = cJSON_GetArrayItem(seeds, i)->valueint;
        assert_int_equal(kmeans(rows, x->dim[0], x->dim[1], &options, &found, &error), 0);
        objectives[i] = found.objective;
        kmeans_release(&found);
    }
    qsort(objectives, 10, sizeof(double), compare_doubles);
    double median = (objectives[4] + objectives[5]) / 2;
    double expected = ((const float *)golden_find(golden, "out.%s.median", name)->data)[0];
    if (fabs(median - expected) > 0.01 * expected)
        fail_msg("%s: median objective %.2f, expected %.2f", name, median, expected);
    mem_free(rows);
}

static void kmeans_matches(void **state)
{
    (void)state;
    Golden *golden = golden_open("clustering.safetensors");
    check_kmeans(golden, "kmeans");
    check_kmeans(golden, "kmeans_spherical");
    printf("passed over: kmeans_init (FAISS's C API takes no start)\n");
    golden_close(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(linkages_match), cmocka_unit_test(kmeans_matches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
