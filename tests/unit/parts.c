// A batch in parts: without batch norm the gradients are those of the whole batch; with it each part has its
// own statistics, and the running ones move once for each part.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/rng.h"
#include "tensor/ops.h"
#include "train/architecture.h"
#include "train/parts.h"

enum { FEATURES = 80, ROWS = 7, FRAMES = 24, SEED = 3 };
static const char WAVLM[] =
    "frontend=fbank,encoder_layers=2,encoder_embed_dim=16,encoder_ffn_embed_dim=24,"
    "encoder_attention_heads=2,conv_pos=5,conv_pos_groups=2,head_nb=2,compression_dim=4,"
    "outputs_dim=6,encoder_layerdrop=0,dropout=0,attention_dropout=0,"
    "activation_dropout=0,dropout_input=0";
static const char ECAPA[] =
    "channels=16,embed_dim=8,pre_pool_channels=24,se_bottleneck_dim=4,astp_bottleneck_dim=4";

typedef struct Model {
    cJSON *architecture;
    Parameters parameters;
    Encoder *encoder;
    Tape *tape, *part_tape;
    CropGroup group;
    float *values;
    float loss;
} Model;

static Model create(const char *encoder, const char *settings)
{
    Model m = {.group = {1, FRAMES, false}, .tape = tape_create(), .part_tape = tape_create()};
    Error error = {0};
    parameters_init(&m.parameters);
    if (!(m.architecture = architecture_parse(encoder, settings, &error)) ||
        !(m.encoder = encoder_create(m.architecture, &m.parameters, &error)) ||
        parameters_allocate(&m.parameters, SEED, true, &error) < 0)
        fail_msg("%s", error.text);
    Rng rng = rng_stream(SEED, "crops", 0, 0);
    int64_t n = ROWS * FRAMES * FEATURES;
    m.values = mem_alloc((size_t)n, sizeof(float));
    for (int64_t i = 0; i < n; i++)
        m.values[i] = (float)rng_normal(&rng);
    return m;
}

static void destroy(Model *m)
{
    encoder_destroy(m->encoder);
    parameters_release(&m->parameters);
    cJSON_Delete(m->architecture);
    tape_destroy(m->tape);
    tape_destroy(m->part_tape);
    mem_free(m->values);
}

// Gradients of the mean of tanh(embeddings)^2, which ties all rows of `crops` together in one loss.
static void backward(Model *m, int64_t n_parts, const Crops *crops)
{
    Parts parts = {m->encoder, &m->parameters, m->part_tape, n_parts};
    parameters_zero_grads(&m->parameters);
    tape_begin(m->tape, TAPE_RECORD);
    Tensor *embeddings = parts_forward(&parts, m->tape, crops), *y = op_tanh(m->tape, embeddings);
    Tensor *mean = op_mean_time(
        m->tape, op_reshape(m->tape, op_mul(m->tape, y, y), 3, (int64_t[]){1, tensor_size(y), 1}));
    m->loss = mean->data[0];
    tape_backward(m->tape, mean);
    parts_backward(&parts, crops, embeddings);
}

static Crops crops_of(const Model *m, int64_t first, int64_t rows)
{
    return (Crops){.values = m->values + first * FRAMES * FEATURES,
                   .rows = rows,
                   .group = &m->group,
                   .training = true,
                   .seed = SEED,
                   .consumer = "dropout"};
}

static float *copy_of(const float *values, int64_t n)
{
    float *copy = mem_alloc((size_t)n + 1, sizeof(float));
    memcpy(copy, values, (size_t)n * sizeof(float));
    return copy;
}

static void assert_close(const float *a, const float *b, int64_t n)
{
    double largest = 0, apart = 0;
    for (int64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)b[i]));
        apart = fmax(apart, fabs((double)a[i] - b[i]));
    }
    assert_true(largest > 0);
    if (!(apart <= 1e-5 * largest))
        fail_msg("%g apart, where the largest is %g", apart, largest);
}

static void test_as_whole(void **state)
{
    (void)state;
    Model m = create("wavlm", WAVLM);
    Crops crops = crops_of(&m, 0, ROWS);
    backward(&m, 1, &crops);
    float *whole = copy_of(m.parameters.grads, m.parameters.n_values), loss = m.loss;
    for (int64_t n_parts = 2; n_parts <= 3; n_parts++) { // ROWS are a multiple of neither
        backward(&m, n_parts, &crops);
        assert_close(&m.loss, &loss, 1);
        assert_close(m.parameters.grads, whole, m.parameters.n_values);
    }
    mem_free(whole);
    destroy(&m);
}

static void test_batch_norm(void **state)
{
    (void)state;
    Model m = create("ecapa", ECAPA);
    int64_t n_values = m.parameters.n_values, n_buffers = m.parameters.n_buffers;
    float *untouched = copy_of(m.parameters.buffers, n_buffers);
    float *sum = mem_zero((size_t)n_values, sizeof(float));
    const int64_t first[3] = {0, ROWS / 2, ROWS};
    for (int part = 0; part < 2; part++) {
        int64_t rows = first[part + 1] - first[part];
        Crops crops = crops_of(&m, first[part], rows);
        backward(&m, 1, &crops);
        for (int64_t i = 0; i < n_values; i++)
            sum[i] += m.parameters.grads[i] * (float)rows / ROWS;
    }
    float *moved = copy_of(m.parameters.buffers, n_buffers);
    memcpy(m.parameters.buffers, untouched, (size_t)n_buffers * sizeof(float));
    Crops crops = crops_of(&m, 0, ROWS);
    backward(&m, 2, &crops);
    assert_close(m.parameters.grads, sum, n_values);
    assert_memory_equal(m.parameters.buffers, moved, (size_t)n_buffers * sizeof(float));
    mem_free(untouched);
    mem_free(sum);
    mem_free(moved);
    destroy(&m);
}

static void test_too_many_parts(void **state)
{
    (void)state;
    Error error = {0};
    assert_int_equal(parts_check(1, 1, &error), 0);
    assert_int_equal(parts_check(4, 8, &error), 0);
    assert_int_equal(parts_check(4, 7, &error), -1);
    assert_non_null(strstr(error.text, "--parts 4 leaves less than two of a step's 7 crops in a part"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_whole), cmocka_unit_test(test_batch_norm),
                                       cmocka_unit_test(test_too_many_parts)};
    return cmocka_run_group_tests_name("parts", tests, NULL, NULL);
}
