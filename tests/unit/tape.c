// The tape's own promises: memory that settles after the first step, releases, gradients that flow only where
// they are wanted; and the product that everything rests on.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/memory.h"
#include "gradcheck.h"
#include "tensor/gemm.h"
#include "tensor/ops.h"

static Tensor *step(Tape *tape, Tensor *x, int n_layers)
{
    for (int i = 0; i < n_layers; i++)
        x = op_tanh(tape, op_scale(tape, x, 0.5f));
    return x;
}

static Tensor *large_leaf(void)
{
    Rng rng = rng_stream(test_seed(), "tape", 0, 0);
    return leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){256, 1024}, 0);
}

static void test_steady_state_allocates_nothing(void **state)
{
    (void)state;
    Tensor *x = large_leaf();
    Tape *tape = tape_create();
    for (int i = 0; i < 3; i++) {
        if (i == 2)
            mem_fail_at(1); // the first allocation from here on would end the program
        tape_begin(tape, TAPE_RECORD);
        Tensor *y = step(tape, x, 6);
        tape_backward_from(tape, y, x->data);
    }
    mem_fail_at(0);
    size_t peak = tape_peak_bytes(tape), one = (size_t)tensor_size(x) * sizeof(float);
    assert_in_range(peak, 2 * 11 * one, 4 * 12 * one); // 12 outputs and their gradients, and slack of a chunk
    tape_destroy(tape);
    leaf_destroy(x);
}

static void test_release_keeps_one_tensor(void **state)
{
    (void)state;
    Tensor *x = large_leaf();
    Tape *tape = tape_create();
    size_t one = (size_t)tensor_size(x) * sizeof(float);
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *y = step(tape, x, 2);
    float *expected = mem_alloc((size_t)tensor_size(x), sizeof(float));
    memcpy(expected, y->data, one);
    size_t unreleased = tape_peak_bytes(tape);
    tape_begin(tape, TAPE_NO_GRAD);
    TapeMark mark = tape_mark(tape);
    for (int i = 0; i < 20; i++) {
        y = tape_release(tape, mark, step(tape, x, 2));
        assert_memory_equal(y->data, expected, one);
    }
    assert_int_equal(tape_peak_bytes(tape), unreleased);
    tape_begin(tape, TAPE_RECORD);
    mark = tape_mark(tape);
    y = step(tape, x, 1);
    assert_ptr_equal(tape_release(tape, mark, y), y);
    mem_free(expected);
    tape_destroy(tape);
    leaf_destroy(x);
}

static void test_gradients_flow_where_wanted(void **state)
{
    (void)state;
    Rng rng = rng_stream(test_seed(), "flow", 0, 0);
    Tensor *x = leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){3, 4}, 0), *fixed = leaf_create(&rng, x->dim, 0);
    fixed->n_dims = 2;
    fixed->needs_grad = false;
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_RECORD);
    Tensor *constant = op_tanh(tape, fixed), *unused = op_tanh(tape, x), *y = op_mul(tape, x, constant);
    assert_false(constant->needs_grad);
    assert_true(y->needs_grad);
    tape_backward_from(tape, y, fixed->data);
    assert_null(constant->grad);
    assert_null(unused->grad);
    for (int64_t i = 0; i < tensor_size(x); i++)
        assert_true(fabsf(x->grad[i] - fixed->data[i] * constant->data[i]) < 1e-6f);
    tape_destroy(tape);
    leaf_destroy(fixed);
    leaf_destroy(x);
}

// c = alpha op(a) op(b) + beta c, with row strides that are larger than the rows
static void test_gemm(void **state)
{
    (void)state;
    enum { M = 5, N = 7, K = 9, STRIDE = 11 };
    Rng rng = rng_stream(test_seed(), "gemm", 0, 0);
    float a[STRIDE * STRIDE], b[STRIDE * STRIDE], c[STRIDE * STRIDE], before[STRIDE * STRIDE];
    for (int i = 0; i < STRIDE * STRIDE; i++) {
        a[i] = (float)rng_normal(&rng);
        b[i] = (float)rng_normal(&rng);
        before[i] = (float)rng_normal(&rng);
    }
    for (int way = 0; way < 4; way++) {
        bool transpose_a = way & 1, transpose_b = way & 2;
        double flop = gemm_flop_count();
        memcpy(c, before, sizeof c);
        gemm(transpose_a, transpose_b, M, N, K, 0.5f, a, STRIDE, b, STRIDE, 2, c, STRIDE);
        assert_true(gemm_flop_count() - flop == 2.0 * M * N * K);
        for (int m = 0; m < M; m++)
            for (int n = 0; n < STRIDE; n++) {
                double sum = 2 * before[m * STRIDE + n];
                for (int k = 0; k < K; k++)
                    sum += 0.5 * a[transpose_a ? k * STRIDE + m : m * STRIDE + k] *
                           b[transpose_b ? n * STRIDE + k : k * STRIDE + n];
                if (n >= N)
                    sum = before[m * STRIDE + n]; // behind the row: untouched
                assert_true(fabs(c[m * STRIDE + n] - sum) < 1e-5);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steady_state_allocates_nothing),
        cmocka_unit_test(test_release_keeps_one_tensor),
        cmocka_unit_test(test_gradients_flow_where_wanted),
        cmocka_unit_test(test_gemm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
