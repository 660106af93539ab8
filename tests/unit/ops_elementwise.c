// Element-wise operators against plain loops and central differences. The larger shape is beyond the size
// from which loops are parallel, and no multiple of a vector register.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "gradcheck.h"
#include "tensor/ops.h"

typedef double Formula(double x);

static double relu(double x)
{
    return x > 0 ? x : 0;
}
static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x * M_SQRT1_2));
}
static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

typedef struct Function {
    Tensor *(*op)(Tape *tape, Tensor *x);
    Formula *formula;
} Function;

static Tensor *build_function(Tape *tape, Tensor *const *leaves, const void *context)
{
    return ((const Function *)context)->op(tape, leaves[0]);
}

static void plain_function(Tensor *const *leaves, const void *context, double *expected)
{
    for (int64_t i = 0; i < tensor_size(leaves[0]); i++)
        expected[i] = ((const Function *)context)->formula(leaves[0]->data[i]);
}

static void check_function(const char *name, Function function)
{
    OperatorCase c = {.name = name,
                      .build = build_function,
                      .reference = plain_function,
                      .context = &function,
                      .dims = {{3, 5, 7}},
                      .gap = 0.25f};
    operator_check(&c);
    c.dims[0][1] = 1999;
    operator_check(&c);
}

static void test_functions(void **state)
{
    (void)state;
    check_function("relu", (Function){op_relu, relu});
    check_function("gelu", (Function){op_gelu, gelu});
    check_function("tanh", (Function){op_tanh, tanh});
    check_function("sigmoid", (Function){op_sigmoid, sigmoid});
}

static Tensor *build_add(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_add(tape, leaves[0], leaves[1]);
}
static void plain_add(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    for (int64_t i = 0; i < tensor_size(leaves[0]); i++)
        expected[i] = (double)leaves[0]->data[i] + leaves[1]->data[i];
}

static Tensor *build_mul(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_mul(tape, leaves[0], leaves[1]);
}
static void plain_mul(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    for (int64_t i = 0; i < tensor_size(leaves[0]); i++)
        expected[i] = (double)leaves[0]->data[i] * leaves[1]->data[i];
}

// The same tensor on both sides: its two gradients add up.
static Tensor *build_square(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_mul(tape, leaves[0], leaves[0]);
}
static void plain_square(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    for (int64_t i = 0; i < tensor_size(leaves[0]); i++)
        expected[i] = (double)leaves[0]->data[i] * leaves[0]->data[i];
}

static const float FACTOR = -0.375f;

static Tensor *build_scale(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_scale(tape, leaves[0], FACTOR);
}
static void plain_scale(Tensor *const *leaves, const void *context, double *expected)
{
    (void)context;
    for (int64_t i = 0; i < tensor_size(leaves[0]); i++)
        expected[i] = FACTOR * leaves[0]->data[i];
}

static void test_products_and_sums(void **state)
{
    (void)state;
    operator_check(&(OperatorCase){
        .name = "add", .build = build_add, .reference = plain_add, .dims = {{4, 33}, {4, 33}}});
    operator_check(&(OperatorCase){
        .name = "mul", .build = build_mul, .reference = plain_mul, .dims = {{4, 33}, {4, 33}}});
    operator_check(&(OperatorCase){
        .name = "mul, one fixed", .build = build_mul, .dims = {{4, 33}, {4, 33}}, .no_grad_0 = true});
    operator_check(
        &(OperatorCase){.name = "square", .build = build_square, .reference = plain_square, .dims = {{65}}});
    operator_check(
        &(OperatorCase){.name = "scale", .build = build_scale, .reference = plain_scale, .dims = {{65}}});
}

static const float DROPPED = 0.3f;

static Tensor *build_dropout(Tape *tape, Tensor *const *leaves, const void *context)
{
    (void)context;
    return op_dropout(tape, leaves[0], DROPPED, rng_stream(test_seed(), "dropout", 2, 0));
}

// Kept values are larger by 1 / (1 - p), the rest is zero, and about p of all are dropped.
static void test_dropout(void **state)
{
    (void)state;
    operator_check(&(OperatorCase){.name = "dropout", .build = build_dropout, .dims = {{7, 41}}});
    Rng rng = rng_stream(test_seed(), "dropout values", 0, 0);
    Tensor *x = leaf_create(&rng, (int64_t[TENSOR_MAX_DIMS]){100, 200}, 0.1f);
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *y = build_dropout(tape, &x, NULL);
    int64_t n = tensor_size(x), n_dropped = 0;
    for (int64_t i = 0; i < n; i++) {
        if (y->data[i] == 0)
            n_dropped++;
        else
            assert_true(fabsf(y->data[i] - x->data[i] / (1 - DROPPED)) <= 1e-6f * fabsf(x->data[i]));
    }
    // five standard deviations of a binomial count
    assert_true(fabs((double)n_dropped - DROPPED * (double)n) <
                5 * sqrt((double)n * DROPPED * (1 - DROPPED)));
    assert_ptr_equal(op_dropout(tape, x, 0, rng), x);
    tape_destroy(tape);
    leaf_destroy(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_products_and_sums),
        cmocka_unit_test(test_dropout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
