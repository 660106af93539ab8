// .npy: the bytes that NumPy writes, what we write, and damaged headers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/npy.h"
#include "damage.h"

static const float MATRIX[6] = {1, 2, 3, -4, 5e-10f, 6};

// A file as numpy.save lays it out: dictionary padded with blanks so that the data begin at a multiple of 64.
static char *file_text(int version, const char *dictionary, const void *data, size_t n_data, size_t *n_bytes)
{
    size_t start = version == 1 ? 10 : 12, header = (start + strlen(dictionary) + 1 + 63) / 64 * 64;
    size_t length = header - start;
    *n_bytes = header + n_data;
    char *text = mem_alloc(*n_bytes, 1);
    memset(text, ' ', header);
    memcpy(text, "\x93NUMPY", 6);
    text[6] = (char)version;
    text[7] = 0;
    for (size_t i = 8; i < start; i++)
        text[i] = (char)(length >> 8 * (i - 8));
    memcpy(text + start, dictionary, strlen(dictionary));
    text[header - 1] = '\n';
    memcpy(text + header, data, n_data);
    return text;
}

static void test_round_trip(void **state)
{
    (void)state;
    Error error = {0};
    char *data;
    size_t n_bytes;
    float *matrix;
    int64_t rows, cols;
    assert_int_equal(npy_encode(MATRIX, 2, 3, &data, &n_bytes, &error), 0);
    assert_int_equal(n_bytes % 64, sizeof MATRIX % 64);
    assert_int_equal(npy_decode("x", data, n_bytes, &matrix, &rows, &cols, &error), 0);
    assert_int_equal(rows, 2);
    assert_int_equal(cols, 3);
    assert_memory_equal(matrix, MATRIX, sizeof MATRIX);
    mem_free(matrix);
    mem_free(data);
    assert_int_equal(npy_encode(MATRIX, INT64_MAX, 3, &data, &n_bytes, &error), -1);
}

static void test_numpy_forms(void **state)
{
    (void)state;
    const double doubles[3] = {0.5, -1, 1e300};
    static const struct {
        int version;
        const char *dictionary;
        bool is_double;
        int64_t rows, cols;
    } cases[] = {
        {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }", false, 3, 2},
        {2, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", false, 6, 1},
        {3, "{'fortran_order': False, 'shape': (1, 6), 'descr': '<f4'}", false, 1, 6},
        {1, "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", true, 3, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Error error = {0};
        const void *values = cases[i].is_double ? (const void *)doubles : MATRIX;
        size_t n_bytes, n_values = cases[i].is_double ? sizeof doubles : sizeof MATRIX;
        char *text = file_text(cases[i].version, cases[i].dictionary, values, n_values, &n_bytes);
        float *matrix;
        int64_t rows, cols;
        if (npy_decode("x", text, n_bytes, &matrix, &rows, &cols, &error) != 0)
            fail_msg("%s: %s", cases[i].dictionary, error.text);
        assert_int_equal(rows, cases[i].rows);
        assert_int_equal(cols, cases[i].cols);
        assert_true(matrix[0] == (cases[i].is_double ? 0.5f : 1.0f));
        mem_free(matrix);
        mem_free(text);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *dictionary, *reason;
    } cases[] = {
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (3, 2), }", "float32 or float64"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (3, 2), }", "float32 or float64"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }", "Fortran"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 2), }", "one or two"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "one or two"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, -2), }", "one or two"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2", "one or two"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }", "do not match"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "do not match"},
        {"{}", "float32 or float64"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Error error = {0};
        size_t n_bytes;
        char *text = file_text(1, cases[i].dictionary, MATRIX, sizeof MATRIX, &n_bytes);
        float *matrix;
        int64_t rows, cols;
        assert_int_equal(npy_decode("odd.npy", text, n_bytes, &matrix, &rows, &cols, &error), -1);
        if (!strstr(error.text, cases[i].reason) || !strstr(error.text, "odd.npy"))
            fail_msg("%s: %s", cases[i].dictionary, error.text);
        mem_free(text);
    }
}

static void must_be_refused(const char *path, void *context, const char *what)
{
    (void)context;
    float *matrix;
    int64_t rows, cols;
    if (npy_load(path, &matrix, &rows, &cols, NULL) == 0)
        fail_msg("accepted when %s", what);
}

// The format has no checksum: a flip may go unnoticed in the data, but never crashes or invents values.
static void same_size_or_refused(const char *path, void *context, const char *what)
{
    (void)context;
    float *matrix;
    int64_t rows, cols;
    if (npy_load(path, &matrix, &rows, &cols, NULL) != 0)
        return;
    if (rows * cols != 6)
        fail_msg("%lld x %lld values with %s", (long long)rows, (long long)cols, what);
    mem_free(matrix);
}

static void test_damage(void **state)
{
    (void)state;
    char *folder = scratch_create(), *path = path_join(folder, "x.npy"), *data;
    size_t n_bytes;
    assert_int_equal(npy_publish(path, MATRIX, 2, 3, NULL), 0);
    assert_int_equal(file_read(path, &data, &n_bytes, NULL), 0);
    damage_each_cut(path, data, n_bytes, 1, must_be_refused, NULL);
    damage_each_bit(path, data, n_bytes, 0, 1, same_size_or_refused, NULL);
    mem_free(data);
    mem_free(path);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_numpy_forms),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
