// Architectures as options and files give them: any number in any key ends in an encoder that runs on the
// shortest input it names, or in one sentence; never in a failed assertion.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/rng.h"
#include "models/encoder.h"

enum { MOST_KEYS = 40, KEY_BYTES = 32, MOST_VALUES = 1 << 20, MOST_INPUT = 20000 };

// Sizes so small that any of them may be replaced by another small number.
static const char *const SMALL[] = {
    "{\"encoder\": \"ecapa\", \"channels\": 16, \"embed_dim\": 6, \"pre_pool_channels\": 12, "
    "\"astp_bottleneck_dim\": 4, "
    "\"se_bottleneck_dim\": 4}",
    "{\"encoder\": \"resnet\", \"blocks1\": 1, \"blocks2\": 1, \"blocks3\": 1, \"blocks4\": 1, "
    "\"m_channels\": 2, "
    "\"embed_dim\": 6, \"astp_bottleneck_dim\": 4}",
    "{\"encoder\": \"mfa_conformer\", \"num_blocks\": 2, \"output_size\": 8, \"attention_heads\": 2, "
    "\"linear_units\": 12, "
    "\"cnn_module_kernel\": 3, \"embedding_dim\": 6, \"attention_channels\": 4}",
    "{\"encoder\": \"wavlm\", \"conv_channels\": 4, \"encoder_layers\": 2, \"encoder_embed_dim\": 8, "
    "\"encoder_ffn_embed_dim\": 12, \"encoder_attention_heads\": 2, \"conv_pos\": 4, \"conv_pos_groups\": 2, "
    "\"num_buckets\": 8, \"max_distance\": 16, \"head_nb\": 2, \"compression_dim\": 4, \"outputs_dim\": 6}",
    "{\"encoder\": \"wavlm\", \"frontend\": \"fbank\", \"conv_channels\": 4, \"encoder_layers\": 2, "
    "\"encoder_embed_dim\": 8, "
    "\"encoder_ffn_embed_dim\": 12, \"encoder_attention_heads\": 2, \"conv_pos\": 4, \"conv_pos_groups\": 2, "
    "\"num_buckets\": 8, \"max_distance\": 16, \"head_nb\": 2, \"compression_dim\": 4, \"outputs_dim\": 6}",
    "{\"encoder\": \"ivector\", \"gaussians\": 3, \"ivector_dim\": 4, \"ceps\": 4, \"deltas\": 1}"};
enum { N_SMALL = sizeof SMALL / sizeof *SMALL };

// The keys that an encoder knows, from its own sentence about one that it does not know.
static int known_keys(const char *small, char keys[MOST_KEYS][KEY_BYTES])
{
    cJSON *architecture = cJSON_Parse(small);
    cJSON_AddNumberToObject(architecture, "no_such_key", 1);
    Error error = {0};
    Parameters parameters;
    parameters_init(&parameters);
    assert_null(encoder_create(architecture, &parameters, &error));
    parameters_release(&parameters);
    cJSON_Delete(architecture);
    char *list = strstr(error.text, "known are "), *rest = NULL;
    assert_non_null(list);
    int n = 0;
    for (char *key = strtok_r(list + strlen("known are "), ", ", &rest); key;
         key = strtok_r(NULL, ", ", &rest)) {
        assert_true(n < MOST_KEYS && strlen(key) < KEY_BYTES);
        strcpy(keys[n++], key);
    }
    assert_true(n >= 5);
    return n;
}

// Runs the encoder on its shortest input and a little more.
static void run(Encoder *encoder, Parameters *parameters, const char *text)
{
    Error error = {0};
    assert_int_equal(parameters_allocate(parameters, 1, false, &error), 0);
    Tape *tape = tape_create();
    for (int64_t more = 0; more < 20; more += 7) {
        int64_t length = encoder->min_input + more;
        if (length > MOST_INPUT)
            break;
        InputShape shape = {length, encoder->input_width};
        float *row = mem_alloc((size_t)input_floats(shape), sizeof(float));
        Rng rng = rng_stream(3, "architectures", 0, 0);
        for (int64_t i = 0; i < input_floats(shape); i++)
            row[i] = (float)rng_normal(&rng);
        tape_begin(tape, TAPE_NO_GRAD);
        Tensor *input = encoder_input(encoder, tape, row, 1, shape);
        Tensor *embedding = encoder_forward(encoder, tape, input, &(ForwardMode){.training = false});
        assert_int_equal(tensor_size(embedding), encoder->embedding_dim);
        for (int64_t d = 0; d < tensor_size(embedding) && !encoder->kind->no_gradient; d++)
            if (!isfinite(embedding->data[d]))
                fail_msg("not finite: %s, %lld more", text, (long long)more);
        mem_free(row);
    }
    tape_destroy(tape);
}

static bool try(const cJSON *architecture)
{
    Error error = {0};
    Parameters parameters;
    parameters_init(&parameters);
    char *text = cJSON_PrintUnformatted(architecture);
    Encoder *encoder = encoder_create(architecture, &parameters, &error);
    bool made = encoder != NULL;
    if (!made && (!error.text[0] || strchr(error.text, '\n')))
        fail_msg("no sentence for %s", text);
    if (made && (encoder->embedding_dim < 1 || encoder->min_input < 1 || parameters.n_values < 1))
        fail_msg("sizes of %s", text);
    if (made && parameters.n_values < MOST_VALUES)
        run(encoder, &parameters, text);
    encoder_destroy(encoder);
    parameters_release(&parameters);
    cJSON_free(text);
    return made;
}

static void set(cJSON *architecture, const char *key, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(architecture, key);
    cJSON_AddItemToObject(architecture, key, value);
}

static void one_key_at_a_time(void **state)
{
    (void)state;
    static const double NUMBERS[] = {-1,    0,      1,     2,      3,       4,          5,
                                     7,     8,      12,    16,     31,      64,         256,
                                     4096,  16384,  65536, 0.5,    0.999,   1e9,        1e18,
                                     1e300, -1e300, 65537, 262144, 1048576, 4294967296, 9007199254740993.0};
    static const char *const OTHERS[] = {"true", "false", "null",      "\"small\"",
                                         "[]",   "{}",    "[[1,2,3]]", "[[4,2]]"};
    for (int s = 0; s < N_SMALL; s++) {
        char keys[MOST_KEYS][KEY_BYTES];
        int n_keys = known_keys(SMALL[s], keys), n_made = 0;
        for (int k = 0; k < n_keys; k++) {
            cJSON *architecture = cJSON_Parse(SMALL[s]);
            for (size_t v = 0; v < sizeof NUMBERS / sizeof *NUMBERS; v++) {
                set(architecture, keys[k], cJSON_CreateNumber(NUMBERS[v]));
                n_made += try(architecture);
            }
            for (size_t v = 0; v < sizeof OTHERS / sizeof *OTHERS; v++) {
                set(architecture, keys[k], cJSON_Parse(OTHERS[v]));
                n_made += try(architecture);
            }
            cJSON_Delete(architecture);
        }
        assert_true(n_made > n_keys);
    }
}

static void all_keys_at_random(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    static const double SIZES[] = {1, 2, 2, 3, 4, 4, 5, 6, 8, 8, 12, 16};
    int n_made = 0;
    for (int s = 0; s < N_SMALL; s++) {
        char keys[MOST_KEYS][KEY_BYTES];
        int n_keys = known_keys(SMALL[s], keys);
        for (int round = 0; round < 200; round++) {
            Rng rng = rng_stream(seed, "architectures", (uint64_t)s, (uint64_t)round);
            cJSON *architecture = cJSON_Parse(SMALL[s]);
            for (int changes = 0; changes < 6; changes++) {
                const char *key = keys[rng_below(&rng, (uint64_t)n_keys)];
                double size = SIZES[rng_below(&rng, sizeof SIZES / sizeof *SIZES)];
                const cJSON *item = cJSON_GetObjectItemCaseSensitive(architecture, key);
                if (strcmp(key, "feat_dim") != 0 && (!item || cJSON_IsNumber(item)))
                    set(architecture, key, cJSON_CreateNumber(size));
            }
            n_made += try(architecture);
            cJSON_Delete(architecture);
        }
    }
    assert_true(n_made > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_key_at_a_time),
                                       cmocka_unit_test(all_keys_at_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
