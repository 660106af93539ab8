// WavLM, and WavLM with MHFA, against Microsoft's code and the reference recipe: hidden states, position
// bias, embeddings and all gradients, at the sizes that each file's metadata names.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/memory.h"
#include "golden_model.h"
#include "models/wavlm_encoder.h"
#include "tensor/attention.h"
#include "tensor/ops.h"

static const ForwardMode evaluation = {.training = false};

typedef struct Fixture {
    Golden *golden;
    WavlmArchitecture architecture;
    Encoder *encoder;
    Parameters parameters;
    Tape *tape;
} Fixture;

// The file's config without what is about the run, or fixed in WavLM. in.wav is normalised already.
static cJSON *architecture_of(const Golden *golden)
{
    static const struct {
        const char *key;
        double value;
    } FIXED[] = {{"dropout_features", 0},
                 {"relative_position_embedding", 1},
                 {"gru_rel_pos", 1},
                 {"layer_norm_eps", 1e-5}};
    static const char *const WORDS[] = {"activation_fn", "gelu", "batch",         "samples", "frames",
                                        "loss",          "call", "layer_weights", "cnn",     "normalize"};
    const cJSON *config = golden_config(golden), *item;
    cJSON *architecture = cJSON_Duplicate(config, true);
    for (size_t i = 0; i < sizeof FIXED / sizeof FIXED[0]; i++) {
        golden_fixed(config, FIXED[i].key, FIXED[i].value);
        cJSON_DeleteItemFromObjectCaseSensitive(architecture, FIXED[i].key);
    }
    golden_fixed_text(config, "activation_fn", "gelu");
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
        golden_known(config, WORDS[i], NULL);
        cJSON_DeleteItemFromObjectCaseSensitive(architecture, WORDS[i]);
    }
    cJSON_ArrayForEach(item, architecture)
        golden_known(config, item->string, NULL); // the encoder refuses those that it does not know
    return architecture;
}

// `prefix` is what our names have in front of the file's.
static Fixture open_fixture(const char *file_name, const char *prefix)
{
    Fixture fixture = {.golden = golden_open(file_name), .tape = tape_create()};
    Error error = {0};
    cJSON *json = architecture_of(fixture.golden);
    parameters_init(&fixture.parameters);
    if (wavlm_architecture_parse(json, &fixture.architecture, &error))
        fail_msg("%s: %s", file_name, error.text);
    fixture.encoder = wavlm_encoder_kind.create(json, &fixture.parameters, &error);
    if (!fixture.encoder || parameters_allocate(&fixture.parameters, 1, true, &error))
        fail_msg("%s: %s", file_name, error.text);
    golden_load_parameters(fixture.golden, &fixture.parameters, prefix);
    cJSON_Delete(json);
    return fixture;
}

static void close_fixture(Fixture *fixture)
{
    tape_destroy(fixture->tape);
    wavlm_encoder_kind.destroy(fixture->encoder);
    parameters_release(&fixture->parameters);
    golden_close(fixture->golden);
}

static Tensor *input_of(Fixture *fixture)
{
    const SafeTensor *wav = golden_tensor(fixture->golden, "in.wav");
    return tape_input(fixture->tape, 2, wav->dim, golden_float(fixture->golden, "in.wav"));
}

// All layers on top of each other: [layers + 1, B, T, dim] as in the file.
static Tensor *hidden_layers(Fixture *fixture, Tensor *input, Tensor **last)
{
    Tensor *hidden[WAVLM_MAX_LAYERS + 1];
    int n_layers = (int)fixture->architecture.wavlm.layers + 1;
    wavlm_hidden(wavlm_encoder_model(fixture->encoder), fixture->tape, input, NULL, &evaluation, hidden);
    *last = hidden[n_layers - 1];
    return op_concat_first(fixture->tape, hidden, n_layers);
}

static void check_forward(Fixture *fixture, Tensor *input)
{
    Tensor *last, *all = hidden_layers(fixture, input, &last);
    golden_check_group(fixture->golden, "out.hidden", all->data, tensor_size(all));
    Tensor *output = wavlm_output(wavlm_encoder_model(fixture->encoder), fixture->tape, last);
    golden_check_group(fixture->golden, "out.encoder", output->data, tensor_size(output));
}

// The front end's output against out.conv6 [B, channels, T]: ours is channels last.
static void check_features(Fixture *fixture)
{
    tape_begin(fixture->tape, TAPE_NO_GRAD);
    Tensor *x = wavlm_front_end_forward(wavlm_front_end(wavlm_encoder_model(fixture->encoder)), fixture->tape,
                                        input_of(fixture));
    int64_t frames = x->dim[1], channels = x->dim[2], n = tensor_size(x);
    float *channels_first = mem_alloc((size_t)n, sizeof *channels_first);
    for (int64_t i = 0; i < n; i++)
        channels_first[(i / (frames * channels) * channels + i % channels) * frames + i / channels % frames] =
            x->data[i];
    char name[32];
    snprintf(name, sizeof name, "out.conv%lld", (long long)fixture->architecture.wavlm.front_end.n_convs - 1);
    golden_check_group(fixture->golden, name, channels_first, n);
    assert_int_equal(wavlm_front_end_frames(&fixture->architecture.wavlm.front_end,
                                            golden_tensor(fixture->golden, "in.wav")->dim[1]),
                     frames);
    mem_free(channels_first);
}

static void check_position_bias(Fixture *fixture)
{
    const WavlmConfig *config = &fixture->architecture.wavlm;
    Parameter *table = parameters_find(&fixture->parameters,
                                       "model.encoder.layers.0.self_attn.relative_attention_bias.weight");
    int64_t frames = golden_tensor(fixture->golden, "out.position_bias")->dim[1], square = frames * frames;
    const int32_t *bucket = golden_tensor(fixture->golden, "out.rel_bucket")->data;
    for (int64_t i = 0; i < square; i++)
        assert_int_equal(
            relative_position_bucket(i % frames - i / frames, config->n_buckets, config->max_distance),
            bucket[i]);
    tape_begin(fixture->tape, TAPE_NO_GRAD);
    Tensor *bias = op_position_bias(fixture->tape, &table->tensor, frames, config->max_distance);
    float *full = mem_alloc((size_t)(config->heads * square), sizeof *full);
    for (int64_t i = 0; i < config->heads * square; i++)
        full[i] = bias->data[i / square * (2 * frames - 1) + frames - 1 + i % frames - i / frames % frames];
    golden_check_group(fixture->golden, "out.position_bias", full, config->heads * square);
    mem_free(full);
}

static void check_transformer_gradients(Fixture *fixture, const char *model)
{
    static const char *const parts[] = {"layer_norm.", "post_extract_proj.", "encoder."};
    int n_compared = 0;
    for (int i = 0; i < 3; i++) {
        char begin[64];
        snprintf(begin, sizeof begin, "%s%s", model, parts[i]);
        n_compared += golden_check_parameter_gradients(fixture->golden, &fixture->parameters,
                                                       *model ? "" : "model.", begin, "grad");
    }
    assert_true(n_compared > 16 * fixture->architecture.wavlm.layers);
}

static void backward(Fixture *fixture, Tensor *input)
{
    Tensor *last, *all = hidden_layers(fixture, input, &last);
    tape_backward_from(fixture->tape, all, golden_float(fixture->golden, "in.r"));
}

// Everything trainable, and a gradient for the waveform too.
static void check_trainable(Fixture *fixture)
{
    tape_begin(fixture->tape, TAPE_RECORD);
    parameters_zero_grads(&fixture->parameters);
    Tensor *input = input_of(fixture);
    input->needs_grad = true;
    backward(fixture, input);
    check_transformer_gradients(fixture, "");
    int n = golden_check_parameter_gradients(fixture->golden, &fixture->parameters, "model.",
                                             "feature_extractor.", "grad_cnn");
    assert_true(n > fixture->architecture.wavlm.front_end.n_convs);
    golden_check(fixture->golden, "grad.in.wav", input->grad, tensor_size(input),
                 golden_tolerance(fixture->golden, "grad_cnn"),
                 golden_scale_floor(fixture->golden, "grad_cnn"));
}

static void check_frozen(Fixture *fixture)
{
    assert_true(parameters_freeze(&fixture->parameters, "model.feature_extractor.") > 0);
    tape_begin(fixture->tape, TAPE_RECORD);
    parameters_zero_grads(&fixture->parameters);
    backward(fixture, input_of(fixture));
    check_transformer_gradients(fixture, "");
}

static void check_wavlm(const char *file_name)
{
    Fixture fixture = open_fixture(file_name, "model.");
    check_features(&fixture);
    check_position_bias(&fixture);
    tape_begin(fixture.tape, TAPE_NO_GRAD);
    check_forward(&fixture, input_of(&fixture));
    tape_begin(fixture.tape, TAPE_RECORD);
    check_forward(&fixture, input_of(&fixture));
    check_trainable(&fixture);
    check_frozen(&fixture);
    close_fixture(&fixture);
}

static void test_base_style(void **state)
{
    (void)state;
    check_wavlm("wavlm.safetensors");
}

static void test_large_style(void **state)
{
    (void)state;
    check_wavlm("wavlm_large.safetensors");
}

// `normalize` turns the raw waveform into what the model receives.
static void test_normalization(void **state)
{
    (void)state;
    Golden *golden = golden_open("wavlm_large.safetensors");
    const SafeTensor *raw = golden_tensor(golden, "in.wav_raw");
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *x = tape_input(tape, 2, raw->dim, golden_float(golden, "in.wav_raw"));
    golden_check(golden, "in.wav", op_standardize_rows(tape, x, 1e-5f)->data, raw->n_elements, 2e-6, 0.0);
    tape_destroy(tape);
    golden_close(golden);
}

static void test_with_mhfa(void **state)
{
    (void)state;
    Fixture fixture = open_fixture("wavlm_mhfa.safetensors", "");
    parameters_freeze(&fixture.parameters, "model.feature_extractor.");
    tape_begin(fixture.tape, TAPE_RECORD);
    parameters_zero_grads(&fixture.parameters);
    Tensor *embedding =
        wavlm_encoder_kind.forward(fixture.encoder, fixture.tape, input_of(&fixture), &evaluation);
    golden_check_group(fixture.golden, "out.emb", embedding->data, tensor_size(embedding));
    tape_backward_from(fixture.tape, embedding, golden_float(fixture.golden, "in.r"));
    check_transformer_gradients(&fixture, "model.");
    assert_true(
        golden_check_parameter_gradients(fixture.golden, &fixture.parameters, "", "backend.", "grad") == 10);
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_style),
        cmocka_unit_test(test_large_style),
        cmocka_unit_test(test_normalization),
        cmocka_unit_test(test_with_mhfa),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
