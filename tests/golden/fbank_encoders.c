// ECAPA-TDNN and ResNet against wespeaker, MFA-Conformer against its public code: evaluation and training
// outputs, gradients, running statistics.
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

typedef struct Case {
    const char *file, *encoder;
    const char *keys[10]; // of our architecture that the file's configuration has, too
    int n_gradients;      // at least; 0: the file has none
} Case;

#define ECAPA_KEYS                                                                                           \
    {                                                                                                        \
        "channels", "feat_dim", "embed_dim", "pre_pool_channels", "se_bottleneck_dim",                       \
            "astp_bottleneck_dim", "res2net_scale", "global_context_att", "emb_bn"                           \
    }
#define RESNET_KEYS                                                                                          \
    {                                                                                                        \
        "m_channels", "feat_dim", "embed_dim", "pooling", "two_emb_layer", "astp_bottleneck_dim"             \
    }
#define CONFORMER_KEYS                                                                                       \
    {                                                                                                        \
        "num_blocks", "output_size", "linear_units", "attention_heads", "cnn_module_kernel",                 \
            "embedding_dim", "input_layer", "attention_channels", "dropout"                                  \
    }
static const Case CASES[] = {
    {"ecapa.safetensors", "ecapa", ECAPA_KEYS, 50},
    {"ecapa_gc0_bn0.safetensors", "ecapa", ECAPA_KEYS, 50},
    {"ecapa_gc0_bn1.safetensors", "ecapa", ECAPA_KEYS, 50},
    {"ecapa_gc1_bn1.safetensors", "ecapa", ECAPA_KEYS, 50},
    {"ecapa_c1536.safetensors", "ecapa", ECAPA_KEYS, 50},
    {"resnet.safetensors", "resnet", RESNET_KEYS, 100},
    {"resnet_feat80.safetensors", "resnet", RESNET_KEYS, 0},
    {"resnet_two_emb.safetensors", "resnet", RESNET_KEYS, 50},
    {"resnet_astp.safetensors", "resnet", RESNET_KEYS, 50},
    {"resnet_bottleneck.safetensors", "resnet", RESNET_KEYS, 40},
    {"mfa_conformer.safetensors", "mfa_conformer", CONFORMER_KEYS, 100},
    {"mfa_conformer_sub4.safetensors", "mfa_conformer", CONFORMER_KEYS, 80},
};

// What the file calls otherwise.
static void add_renamed(cJSON *architecture, const cJSON *config)
{
    const cJSON *block = golden_item(config, "block"), *blocks = golden_item(config, "num_blocks");
    const cJSON *mels = golden_item(config, "n_mels");
    if (mels)
        cJSON_AddNumberToObject(architecture, "feat_dim", mels->valuedouble);
    if (!cJSON_IsArray(blocks))
        return;
    for (int i = 0; i < 4; i++) {
        char key[16];
        snprintf(key, sizeof key, "blocks%d", i + 1);
        cJSON_AddNumberToObject(architecture, key, cJSON_GetArrayItem(blocks, i)->valuedouble);
    }
    cJSON_AddStringToObject(architecture, "block",
                            strcmp(block->valuestring, "Bottleneck") == 0 ? "bottleneck" : "basic");
}

// What the encoders leave nobody the choice of.
static void expect_fixed(const cJSON *config)
{
    golden_fixed(config, "bn_eps", 1e-5);
    golden_fixed(config, "bn_momentum", 0.1);
    golden_fixed(config, "asp_eps", 1e-12);
    golden_fixed(config, "layer_norm_eps", 1e-12);
    golden_fixed(config, "macaron", 1);
    golden_fixed_text(config, "kernel_sizes", "[5,3,3,3]");
    golden_fixed_text(config, "dilations", "[1,2,3,4]");
    golden_fixed_text(config, "strides", "[1,2,2,2]");
    golden_fixed_text(config, "activation", "swish");
    golden_fixed_text(config, "pos_enc", "rel_pos without relative shift");
    // Shapes, and what is said in words.
    golden_known(config, "batch", "time", "frames", "subsampling", "relu_margin", "loss", "block_order",
                 "astp", "tstp", "asp", NULL);
}

static cJSON *architecture_of(const Case *c, const cJSON *config)
{
    cJSON *architecture = cJSON_CreateObject();
    cJSON_AddStringToObject(architecture, "encoder", c->encoder);
    for (int i = 0; c->keys[i]; i++)
        cJSON_AddItemToObject(architecture, c->keys[i],
                              cJSON_Duplicate(golden_item(config, c->keys[i]), true));
    add_renamed(architecture, config);
    expect_fixed(config);
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

static void check_file(void **state)
{
    const Case *c = *state;
    Golden *golden = golden_open(c->file);
    cJSON *architecture = architecture_of(c, golden_config(golden));
    Error error = {0};
    Parameters parameters;
    parameters_init(&parameters);
    Encoder *encoder = encoder_create_any(architecture, &parameters, &error);
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
    if (c->n_gradients > 0) {
        tape_backward_from(tape, embedding, golden_float(golden, "in.r"));
        assert_true(golden_check_parameter_gradients(golden, &parameters, "", "", "grad") >= c->n_gradients);
        golden_check_group(golden, "grad.in.x", input->grad, tensor_size(input));
    }
    tape_destroy(tape);
    encoder_destroy(encoder);
    parameters_release(&parameters);
    cJSON_Delete(architecture);
    golden_close(golden);
}

int main(void)
{
    enum { N = sizeof CASES / sizeof CASES[0] };
    struct CMUnitTest tests[N];
    for (int i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){CASES[i].file, check_file, NULL, NULL, (void *)&CASES[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
