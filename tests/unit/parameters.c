// The parameter table: layout, initial values that depend on seed and name alone, freezing, buffers.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "models/encoder.h"
#include "nn/parameters.h"

static const Init NORMAL = {INIT_NORMAL, 0.5f};

static void test_layout(void **state)
{
    (void)state;
    Error error = {0};
    Parameters parameters;
    parameters_init(&parameters);
    Parameter *matrix = parameters_add(&parameters, 2, (int64_t[]){3, 5}, NORMAL, "layer%d.weight", 1);
    Parameter *mean = parameters_add_buffer(&parameters, 5, (Init){INIT_ONE, 0}, "layer1.running_mean");
    Parameter *bias = parameters_add(&parameters, 1, (int64_t[]){3}, (Init){INIT_CONSTANT, 7}, "layer1.bias");
    assert_int_equal(parameters_allocate(&parameters, 1, true, &error), 0);

    assert_ptr_equal(parameters_find(&parameters, "layer1.weight"), matrix);
    assert_null(parameters_find(&parameters, "layer1"));
    assert_ptr_equal(matrix->tensor.data, parameters.values + matrix->offset);
    assert_ptr_equal(bias->tensor.grad, parameters.grads + bias->offset);
    assert_true(bias->offset >= matrix->offset + tensor_size(&matrix->tensor));
    assert_ptr_equal(mean->tensor.data, parameters.buffers);
    assert_true(matrix->decay && !bias->decay && !mean->trainable && !mean->tensor.needs_grad);
    assert_true(mean->tensor.data[4] == 1 && bias->tensor.data[2] == 7);

    matrix->tensor.grad[3] = 1;
    parameters_zero_grads(&parameters);
    assert_true(matrix->tensor.grad[3] == 0);
    assert_int_equal(parameters_freeze(&parameters, "layer1.b"), 1);
    assert_true(!bias->trainable && !bias->tensor.needs_grad && matrix->trainable);
    assert_int_equal(parameters_freeze(&parameters, "layer2"), 0);
    parameters_release(&parameters);
}

// A tensor's values do not change when another is declared before it, and differ between names and seeds.
static void test_initial_values(void **state)
{
    (void)state;
    enum { SIZE = 4000 };
    Error error = {0};
    Parameters first, second;
    parameters_init(&first);
    parameters_init(&second);
    Parameter *a = parameters_add(&first, 1, (int64_t[]){SIZE}, NORMAL, "a");
    parameters_add(&second, 1, (int64_t[]){3}, NORMAL, "before");
    Parameter *same = parameters_add(&second, 1, (int64_t[]){SIZE}, NORMAL, "a");
    Parameter *other = parameters_add(&second, 1, (int64_t[]){SIZE}, NORMAL, "b");
    Parameter *cut =
        parameters_add(&second, 1, (int64_t[]){SIZE}, (Init){INIT_TRUNCATED_NORMAL, 0.02f}, "cut");
    Parameter *even = parameters_add(&second, 1, (int64_t[]){SIZE}, (Init){INIT_UNIFORM, 0.1f}, "even");
    assert_int_equal(parameters_allocate(&first, 11, false, &error), 0);
    assert_int_equal(parameters_allocate(&second, 11, true, &error), 0);
    assert_null(first.grads);
    assert_false(a->tensor.needs_grad);
    assert_memory_equal(a->tensor.data, same->tensor.data, SIZE * sizeof(float));
    assert_memory_not_equal(same->tensor.data, other->tensor.data, SIZE * sizeof(float));
    double squares = 0;
    for (int i = 0; i < SIZE; i++) {
        squares += pow(a->tensor.data[i], 2) / SIZE;
        assert_true(fabsf(cut->tensor.data[i]) <= 2 * 0.02f && fabsf(even->tensor.data[i]) <= 0.1f);
    }
    // the variance of a sample variance is 2 / n: five of its deviations
    assert_true(fabs(squares / 0.25 - 1) < 5 * sqrt(2.0 / SIZE));
    parameters_release(&first);
    parameters_release(&second);
}

static void expect_refusal(const char *text, const char *part)
{
    Error error = {0};
    Parameters parameters;
    parameters_init(&parameters);
    cJSON *architecture = cJSON_Parse(text);
    assert_null(encoder_create(architecture, &parameters, &error));
    if (!strstr(error.text, part))
        fail_msg("%s: the message says \"%s\", not \"%s\"", text, error.text, part);
    cJSON_Delete(architecture);
    parameters_release(&parameters);
}

static void test_refused_architectures(void **state)
{
    (void)state;
    expect_refusal("{}", "ecapa");
    expect_refusal("{\"encoder\": \"lstm\"}", "ecapa");
    expect_refusal("{\"encoder\": \"ecapa\", \"chanels\": 64}", "chanels");
    expect_refusal("{\"encoder\": \"ecapa\", \"chanels\": 64}", "res2net_scale"); // the known ones are listed
    expect_refusal("{\"encoder\": \"ecapa\", \"channels\": 65}", "multiple");
    expect_refusal("{\"encoder\": \"ecapa\", \"channels\": -64}", "channels");
    expect_refusal("{\"encoder\": \"ecapa\", \"channels\": 1e18}", "channels");
    expect_refusal("{\"encoder\": \"ecapa\", \"emb_bn\": 1}", "emb_bn");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_initial_values),
        cmocka_unit_test(test_refused_architectures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
