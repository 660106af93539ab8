// What encoders are made of: names and groups from scopes, norms against their formulas, the streams of a
// pass.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/memory.h"
#include "nn/transformer.h"

enum { ROWS = 5, DIM = 6 };

static void scopes_give_names_and_groups(void **state)
{
    (void)state;
    Parameters parameters;
    parameters_init(&parameters);
    Scope model = scope_of(&parameters, "model."), other = scope_of(&parameters, "");
    other.group = 3;
    Scope block = scope_enter(&model, "layers.%d", 7), deeper = scope_enter(&other, "a");
    Affine fc = affine_declare(scope_enter(&block, "fc"), 2, (int64_t[]){4, DIM}, true);
    BatchNormLayer norm = batch_norm_declare(scope_enter(&deeper, "bn"), DIM);
    assert_string_equal(fc.weight->name, "model.layers.7.fc.weight");
    assert_string_equal(fc.bias->name, "model.layers.7.fc.bias");
    assert_string_equal(norm.running_variance->name, "a.bn.running_var");
    assert_true(fc.weight->group == 0 && norm.weight->group == 3 && norm.running_mean->is_buffer);
    assert_int_equal(parameters.n_items, 6);
    assert_ptr_equal(parameters.items[2], norm.weight); // declared in order: the file's
    parameters_release(&parameters);
}

static void norms_equal_their_formulas(void **state)
{
    (void)state;
    Parameters parameters;
    parameters_init(&parameters);
    Scope scope = scope_of(&parameters, "");
    LayerNorm layer = layer_norm_declare(scope_enter(&scope, "ln"), DIM, 0.5f);
    BatchNormLayer bare = batch_norm_declare_bare(scope_enter(&scope, "bn"), DIM);
    Error error = {0};
    assert_int_equal(parameters_allocate(&parameters, 1, false, &error), 0);
    float x[ROWS * DIM];
    Rng rng = rng_stream(9, "norms", 0, 0);
    for (int i = 0; i < ROWS * DIM; i++)
        x[i] = (float)rng_normal(&rng);
    for (int d = 0; d < DIM; d++) {
        layer.weight->tensor.data[d] = (float)(1 + d);
        layer.bias->tensor.data[d] = 0.1f * (float)d;
        bare.running_mean->tensor.data[d] = 0.3f;
        bare.running_variance->tensor.data[d] = 4;
    }
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *in = tape_input(tape, 2, (int64_t[]){ROWS, DIM}, x);
    const float *by_layer = layer_norm_apply(tape, in, &layer)->data;
    const float *by_batch = batch_norm_apply(tape, in, &bare, false, true)->data;
    for (int r = 0; r < ROWS; r++) {
        double mean = 0, variance = 0;
        for (int d = 0; d < DIM; d++)
            mean += x[r * DIM + d] / DIM;
        for (int d = 0; d < DIM; d++)
            variance += (x[r * DIM + d] - mean) * (x[r * DIM + d] - mean) / DIM;
        for (int d = 0; d < DIM; d++) {
            double value = x[r * DIM + d];
            double expected = (value - mean) / sqrt(variance + 0.5) * (1 + d) + 0.1 * d;
            assert_true(fabs(by_layer[r * DIM + d] - expected) < 1e-5);
            expected = (fmax(value, 0) - 0.3) / sqrt(4 + 1e-5);
            assert_true(fabs(by_batch[r * DIM + d] - expected) < 1e-5);
        }
    }
    tape_destroy(tape);
    parameters_release(&parameters);
}

// Streams are taken in order, and only where something is drawn: leaving one dropout out does not move a
// model's others between training and evaluation.
static void a_pass_takes_streams_where_it_draws(void **state)
{
    (void)state;
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    float ones[400];
    for (int i = 0; i < 400; i++)
        ones[i] = 1;
    Tensor *x = tape_input(tape, 1, (int64_t[]){400}, ones);
    ForwardMode training = {.training = true, .rng = rng_stream(5, "step", 2, 0)},
                evaluation = {.training = false};
    Pass pass = pass_begin(tape, &training, "model");
    assert_ptr_equal(pass_dropout(&pass, x, 0), x);
    assert_int_equal(pass.n_streams, 0);
    Tensor *first = pass_dropout(&pass, x, 0.5), *second = pass_dropout(&pass, x, 0.5);
    assert_int_equal(pass.n_streams, 2);
    assert_memory_not_equal(first->data, second->data, sizeof ones);
    Attention attention = pass_attention(&pass, 4, 0.25);
    assert_true(attention.dropout == 0.25f && attention.heads == 4 && pass.n_streams == 3);
    Pass again = pass_begin(tape, &training, "model");
    assert_memory_equal(pass_dropout(&again, x, 0.5)->data, first->data, sizeof ones);
    int n_left_out = 0;
    for (int i = 0; i < 1000; i++)
        n_left_out += pass_chance(&again, 0.3);
    assert_true(n_left_out > 220 && n_left_out < 380); // five deviations of 14.5
    Pass quiet = pass_begin(tape, &evaluation, "model");
    assert_ptr_equal(pass_dropout(&quiet, x, 0.5), x);
    assert_false(pass_chance(&quiet, 1));
    assert_true(pass_attention(&quiet, 4, 0.25).dropout == 0 && quiet.n_streams == 0);
    tape_destroy(tape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scopes_give_names_and_groups),
                                       cmocka_unit_test(norms_equal_their_formulas),
                                       cmocka_unit_test(a_pass_takes_streams_where_it_draws)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
