// The encoder `wavlm` as stages use it: architectures, both front ends, dropout by stream, gradients of the
// whole.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/memory.h"
#include "models/wavlm_encoder.h"

static const uint64_t seed = 20240612;
static const ForwardMode evaluation = {.training = false};

#define SMALL                                                                                                \
    "\"encoder\": \"wavlm\", \"conv_channels\": 6, \"encoder_layers\": 2, \"encoder_embed_dim\": 8, "        \
    "\"encoder_ffn_embed_dim\": 12, \"encoder_attention_heads\": 2, \"conv_pos\": 4, \"conv_pos_groups\": "  \
    "2, "                                                                                                    \
    "\"head_nb\": 3, \"compression_dim\": 4, \"outputs_dim\": 5"

typedef struct Model {
    Encoder *encoder;
    Parameters parameters;
    Tape *tape;
} Model;

static Model open_model(const char *json)
{
    Model model = {.tape = tape_create()};
    Error error = {0};
    cJSON *architecture = cJSON_Parse(json);
    assert_non_null(architecture);
    parameters_init(&model.parameters);
    model.encoder = wavlm_encoder_kind.create(architecture, &model.parameters, &error);
    if (!model.encoder || parameters_allocate(&model.parameters, seed, true, &error))
        fail_msg("%s", error.text);
    cJSON_Delete(architecture);
    return model;
}

static void close_model(Model *model)
{
    tape_destroy(model->tape);
    wavlm_encoder_kind.destroy(model->encoder);
    parameters_release(&model->parameters);
}

static float *noise(int64_t n)
{
    Rng rng = rng_stream(seed, "input", 0, 0);
    float *x = mem_alloc((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(&rng);
    return x;
}

// The embeddings of the rows of x [batch, n (, 80)], copied.
static float *embed(Model *model, const float *x, int64_t batch, int64_t n, const ForwardMode *mode)
{
    bool fbank = model->encoder->input == ENCODER_FBANK;
    tape_begin(model->tape, TAPE_NO_GRAD);
    Tensor *input = tape_input(model->tape, fbank ? 3 : 2, (int64_t[]){batch, n, WAVLM_N_MELS}, x);
    Tensor *out = wavlm_encoder_kind.forward(model->encoder, model->tape, input, mode);
    assert_int_equal(tensor_size(out), batch * model->encoder->embedding_dim);
    float *copy = mem_alloc((size_t)tensor_size(out), sizeof *copy);
    return memcpy(copy, out->data, (size_t)tensor_size(out) * sizeof *copy);
}

static double distance(const float *a, const float *b, int64_t n)
{
    double largest = 0.0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

// An utterance's embedding does not depend on its company, and the shortest input gives one.
static void check_front_end(const char *json, EncoderInput input, int64_t n, int64_t width)
{
    Model model = open_model(json);
    assert_int_equal(model.encoder->input, input);
    assert_int_equal(model.encoder->embedding_dim, 5);
    float *x = noise(2 * n * width);
    float *both = embed(&model, x, 2, n, &evaluation),
          *second = embed(&model, x + n * width, 1, n, &evaluation);
    assert_true(distance(both + 5, second, 5) < 1e-5);
    assert_true(distance(both, second, 5) > 1e-4);
    float *shortest = embed(&model, x, 1, model.encoder->min_input, &evaluation);
    for (int i = 0; i < 5; i++)
        assert_true(isfinite(shortest[i]));
    mem_free(shortest);
    mem_free(second);
    mem_free(both);
    mem_free(x);
    close_model(&model);
}

static void test_front_ends(void **state)
{
    (void)state;
    check_front_end("{" SMALL "}", ENCODER_WAVEFORM, 4000, 1);
    check_front_end("{" SMALL ", \"normalize\": true, \"layer_norm_first\": true, "
                    "\"extractor_mode\": \"layer_norm\", \"conv_bias\": true}",
                    ENCODER_WAVEFORM, 4000, 1);
    check_front_end("{" SMALL ", \"frontend\": \"fbank\"}", ENCODER_FBANK, 31, WAVLM_N_MELS);
}

static void test_frames(void **state)
{
    (void)state;
    WavlmFrontEndConfig config = wavlm_default_config().front_end;
    assert_int_equal(wavlm_front_end_min_input(&config), 400);
    assert_int_equal(wavlm_front_end_frames(&config, 399), 0);
    assert_int_equal(wavlm_front_end_frames(&config, 400), 1);
    assert_int_equal(wavlm_front_end_frames(&config, 48000), 149); // 3 s
    config.input = ENCODER_FBANK;
    assert_int_equal(wavlm_front_end_frames(&config, 298), 149);
}

// Dropout and layer drop follow the stream that they are given, and nothing else.
static void test_training_mode(void **state)
{
    (void)state;
    Model model =
        open_model("{" SMALL ", \"frontend\": \"fbank\", \"dropout\": 0.2, \"attention_dropout\": 0.2, "
                   "\"activation_dropout\": 0.2, \"dropout_input\": 0.2, \"encoder_layerdrop\": 0.3}");
    float *x = noise(31 * WAVLM_N_MELS);
    ForwardMode mode = {.training = true, .rng = rng_stream(seed, "step", 1, 0)};
    float *first = embed(&model, x, 1, 31, &mode), *again = embed(&model, x, 1, 31, &mode);
    mode.rng = rng_stream(seed, "step", 2, 0);
    float *other = embed(&model, x, 1, 31, &mode);
    assert_memory_equal(first, again, 5 * sizeof(float));
    assert_true(distance(first, other, 5) > 1e-4);
    mem_free(first);
    mem_free(again);
    mem_free(other);
    mem_free(x);
    close_model(&model);
}

static double sum_of(const float *embedding)
{
    double sum = 0.0;
    for (int i = 0; i < 5; i++)
        sum += (double)embedding[i];
    return sum;
}

// A step along the gradient in all parameters changes the sum of the embedding by its squared length. Dropout
// is on: forward and backward have to draw the same.
static void test_gradient_direction(void **state)
{
    (void)state;
    Model model =
        open_model("{" SMALL ", \"frontend\": \"fbank\", \"dropout\": 0.2, \"encoder_layerdrop\": 0}");
    float *x = noise(21 * WAVLM_N_MELS);
    ForwardMode mode = {.training = true, .rng = rng_stream(seed, "step", 3, 0)};
    tape_begin(model.tape, TAPE_RECORD);
    parameters_zero_grads(&model.parameters);
    Tensor *input = tape_input(model.tape, 3, (int64_t[]){1, 21, WAVLM_N_MELS}, x);
    Tensor *out = wavlm_encoder_kind.forward(model.encoder, model.tape, input, &mode);
    tape_backward_from(model.tape, out, (float[]){1, 1, 1, 1, 1});
    double squares = 0.0, value[2];
    for (int64_t i = 0; i < model.parameters.n_values; i++)
        squares += (double)model.parameters.grads[i] * (double)model.parameters.grads[i];
    const double change = 4e-3;
    for (int side = 0; side < 2; side++) {
        float step = (float)((side ? 2.0 : -1.0) * change / squares);
        for (int64_t i = 0; i < model.parameters.n_values; i++)
            model.parameters.values[i] += step * model.parameters.grads[i];
        float *embedding = embed(&model, x, 1, 21, &mode);
        value[side] = sum_of(embedding);
        mem_free(embedding);
    }
    assert_true(squares > 1e-3);
    assert_true(fabs((value[1] - value[0]) / (2.0 * change) - 1.0) < 5e-3);
    mem_free(x);
    close_model(&model);
}

static void check_refused(const char *json, const char *sentence)
{
    Error error = {0};
    Parameters parameters;
    parameters_init(&parameters);
    cJSON *architecture = cJSON_Parse(json);
    assert_non_null(architecture);
    assert_null(wavlm_encoder_kind.create(architecture, &parameters, &error));
    assert_memory_equal(error.text, sentence, strlen(sentence));
    cJSON_Delete(architecture);
    parameters_release(&parameters);
}

static void test_refused_architectures(void **state)
{
    (void)state;
    check_refused("{\"layers\": 3}", "wavlm: unknown architecture key 'layers'; known are frontend, ");
    check_refused("{\"encoder_layers\": 31}", "wavlm: encoder_layers must be a whole number from 1 to 30");
    check_refused("{\"encoder_layers\": 2.5}", "wavlm: encoder_layers must be a whole number from 1 to 30");
    check_refused("{\"dropout\": 1}", "wavlm: dropout must be at least 0 and less than 1");
    check_refused("{\"normalize\": 1}", "wavlm: normalize must be true or false");
    check_refused("{\"frontend\": \"mfcc\"}", "wavlm: frontend must be conv or fbank");
    check_refused("{\"encoder_attention_heads\": 7}",
                  "wavlm: encoder_attention_heads 7 does not divide encoder_embed_dim 768");
    check_refused("{\"conv_feature_layers\": [[512, 10]]}",
                  "wavlm: conv_feature_layers[0] must be [channels, kernel, stride]");
    check_refused("{\"conv_feature_layers\": []}",
                  "wavlm: conv_feature_layers must list 1 to 8 convolutions");
}

int main(void)
{
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_front_ends),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_training_mode),
        cmocka_unit_test(test_gradient_direction),
        cmocka_unit_test(test_refused_architectures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
