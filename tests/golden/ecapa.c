// ECAPA-TDNN against wespeaker: evaluation and training outputs, gradients, running statistics.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/memory.h"
#include "golden_model.h"
#include "models/encoder.h"

// The file's configuration is our architecture but for what describes the test itself.
static cJSON *architecture_of(const cJSON *config)
{
    static const char *const KEYS[] = {"channels",          "feat_dim",           "embed_dim",
                                       "pre_pool_channels", "se_bottleneck_dim",  "astp_bottleneck_dim",
                                       "res2net_scale",     "global_context_att", "emb_bn"};
    cJSON *architecture = cJSON_CreateObject();
    cJSON_AddStringToObject(architecture, "encoder", "ecapa");
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++)
        cJSON_AddItemToObject(architecture, KEYS[i],
                              cJSON_Duplicate(cJSON_GetObjectItem(config, KEYS[i]), true));
    return architecture;
}

static void load_buffers(const Golden *golden, Parameters *parameters)
{
    for (int64_t i = 0; i < parameters->n_items; i++) {
        Parameter *item = parameters->items[i];
        const SafeTensor *stored = item->is_buffer ? golden_find(golden, "buffer.%s", item->name) : NULL;
        assert_true(!item->is_buffer || (stored && stored->n_elements == tensor_size(&item->tensor)));
        if (stored)
            memcpy(item->tensor.data, stored->data, (size_t)stored->n_elements * sizeof(float));
    }
}

static void check_buffers(const Golden *golden, const Parameters *parameters)
{
    for (int64_t i = 0; i < parameters->n_items; i++) {
        const Parameter *item = parameters->items[i];
        char name[300];
        snprintf(name, sizeof name, "out.train.buffer.%s", item->name);
        if (item->is_buffer && golden_has(golden, name))
            golden_check_group(golden, name, item->tensor.data, tensor_size(&item->tensor));
    }
}

static void check_file(const char *file)
{
    Golden *golden = golden_open(file);
    cJSON *architecture = architecture_of(golden_config(golden));
    Error error = {0};
    Parameters parameters;
    parameters_init(&parameters);
    Encoder *encoder = encoder_create(architecture, &parameters, &error);
    if (!encoder)
        fail_msg("%s", error.text);
    assert_int_equal(parameters_allocate(&parameters, 1, true, &error), 0);
    golden_load_parameters(golden, &parameters, "");
    load_buffers(golden, &parameters);

    const SafeTensor *x = golden_tensor(golden, "in.x");
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *input = tape_input(tape, 3, x->dim, golden_float(golden, "in.x"));
    Tensor *embedding = encoder_forward(encoder, tape, input, &(ForwardMode){.training = false});
    golden_check_group(golden, "out.eval.emb", embedding->data, tensor_size(embedding));

    tape_begin(tape, TAPE_RECORD);
    input = tape_input(tape, 3, x->dim, golden_float(golden, "in.x"));
    input->needs_grad = true;
    embedding = encoder_forward(encoder, tape, input, &(ForwardMode){.training = true});
    golden_check_group(golden, "out.train.emb", embedding->data, tensor_size(embedding));
    check_buffers(golden, &parameters);
    if (golden_has(golden, "grad.in.x")) {
        tape_backward_from(tape, embedding, golden_float(golden, "in.r"));
        assert_true(golden_check_parameter_gradients(golden, &parameters, "", "", "grad") > 50);
        golden_check_group(golden, "grad.in.x", input->grad, tensor_size(input));
    }
    tape_destroy(tape);
    encoder_destroy(encoder);
    parameters_release(&parameters);
    cJSON_Delete(architecture);
    golden_close(golden);
}

static void test_context_without_norm(void **state)
{
    (void)state;
    check_file("ecapa.safetensors");
}
static void test_no_context_without_norm(void **state)
{
    (void)state;
    check_file("ecapa_gc0_bn0.safetensors");
}
static void test_no_context_with_norm(void **state)
{
    (void)state;
    check_file("ecapa_gc0_bn1.safetensors");
}
static void test_context_with_norm(void **state)
{
    (void)state;
    check_file("ecapa_gc1_bn1.safetensors");
}
static void test_wide_pooling(void **state)
{
    (void)state;
    check_file("ecapa_c1536.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context_without_norm), cmocka_unit_test(test_no_context_without_norm),
        cmocka_unit_test(test_no_context_with_norm), cmocka_unit_test(test_context_with_norm),
        cmocka_unit_test(test_wide_pooling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
