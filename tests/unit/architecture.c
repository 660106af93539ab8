// Architectures from strangers: whatever numbers an encoder is asked for, it is refused with a sentence or it
// turns audio into embeddings; nothing aborts and nothing asks for more memory than its sizes explain.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <cjson/cJSON.h>

#include "base/memory.h"
#include "base/rng.h"
#include "cache/safetensors.h"
#include "damage.h"
#include "models/encoder.h"
#include "train/architecture.h"
#include "train/checkpoint.h"

enum { ROUNDS = 150, PARAMETERS_MOST = 3000000, INPUT_MOST = 1 << 21, BATCH = 2, CHANGES_MOST = 3 };

// Small sizes of each kind, so that what is drawn can be computed.
static const struct {
    const char *name, *settings;
} KINDS[] = {
    {"ecapa",
     "channels=16,embed_dim=8,astp_bottleneck_dim=4,se_bottleneck_dim=4,res2net_scale=4,pre_pool_channels=16,"
     "feat_dim=80,global_context_att=true,emb_bn=true"},
    {"resnet", "blocks1=1,blocks2=1,blocks3=1,blocks4=1,m_channels=2,embed_dim=8,feat_dim=80,pooling=ASTP,"
               "astp_bottleneck_dim=4,global_context_att=true,two_emb_layer=true,block=basic"},
    {"mfa_conformer",
     "num_blocks=2,output_size=16,attention_heads=4,linear_units=16,cnn_module_kernel=3,feat_dim=80,"
     "embedding_dim=8,attention_channels=4,input_layer=conv2d,dropout=0"},
    {"wavlm",
     "frontend=fbank,encoder_layers=2,encoder_embed_dim=16,encoder_ffn_embed_dim=16,conv_channels=8,"
     "encoder_attention_heads=4,conv_pos=3,conv_pos_groups=4,num_buckets=8,max_distance=16,head_nb=2,"
     "compression_dim=4,outputs_dim=8,extractor_mode=default,normalize=true,layer_norm_first=true,"
     "conv_bias=true,dropout=0,attention_dropout=0,activation_dropout=0,dropout_input=0,encoder_layerdrop=0"},
    {"wavlm",
     "frontend=conv,encoder_layers=1,encoder_embed_dim=8,encoder_ffn_embed_dim=8,conv_channels=4,"
     "encoder_attention_heads=2,conv_pos=3,conv_pos_groups=2,num_buckets=8,max_distance=16,head_nb=2,"
     "compression_dim=4,outputs_dim=8,extractor_mode=layer_norm,normalize=true,layer_norm_first=false"},
    {"ivector", "gaussians=4,ivector_dim=3,ceps=5,deltas=1,mean_window=100,vad=true"},
};
enum { N_KINDS = sizeof KINDS / sizeof KINDS[0] };

static cJSON *draw_value(Rng *rng)
{
    static const double NUMBERS[] = {-1,
                                     0,
                                     1,
                                     2,
                                     3,
                                     4,
                                     5,
                                     7,
                                     8,
                                     16,
                                     17,
                                     31,
                                     32,
                                     33,
                                     64,
                                     80,
                                     255,
                                     256,
                                     4096,
                                     65536,
                                     65537,
                                     1e6,
                                     1e9,
                                     1e18,
                                     1e300,
                                     -1e300,
                                     0.5,
                                     -0.5,
                                     1e-300,
                                     2147483648.0,
                                     4294967297.0,
                                     9007199254740993.0};
    static const char *const WORDS[] = {"",     "conv",    "fbank",  "basic",      "bottleneck",
                                        "ASTP", "conv2d2", "conv2d", "layer_norm", "x"};
    switch (rng_below(rng, 12)) {
    case 0:
        return cJSON_CreateString(WORDS[rng_below(rng, sizeof WORDS / sizeof WORDS[0])]);
    case 1:
        return cJSON_CreateBool((int)rng_below(rng, 2));
    case 2:
        return rng_below(rng, 2) ? cJSON_CreateNull() : cJSON_CreateNumber(NAN);
    case 3:
        return cJSON_CreateArray();
    case 4:
    case 5:
    case 6:
    case 7:
        return cJSON_CreateNumber((double)(1 + rng_below(rng, 24)));
    default:
        return cJSON_CreateNumber(NUMBERS[rng_below(rng, sizeof NUMBERS / sizeof NUMBERS[0])]);
    }
}

static cJSON *draw_convolutions(Rng *rng)
{
    cJSON *list = cJSON_CreateArray();
    for (int64_t i = (int64_t)rng_below(rng, 10); i > 0; i--) {
        cJSON *conv = cJSON_CreateArray();
        for (int64_t k = 3 + (rng_below(rng, 20) == 0); k > 0; k--)
            cJSON_AddItemToArray(conv, rng_below(rng, 4)
                                           ? cJSON_CreateNumber((double)(1 + rng_below(rng, 12)))
                                           : draw_value(rng));
        cJSON_AddItemToArray(list, conv);
    }
    return list;
}

// A kind's small sizes with up to three of them changed to anything.
static cJSON *draw_architecture(int kind, Rng *rng)
{
    Error error = {0};
    cJSON *architecture = cJSON_CreateObject();
    cJSON_AddStringToObject(architecture, "encoder", KINDS[kind].name);
    if (architecture_override(architecture, KINDS[kind].settings, &error) < 0)
        fail_msg("%s", error.text);
    for (int64_t i = (int64_t)rng_below(rng, CHANGES_MOST + 1); i > 0; i--) {
        int at = 1 + (int)rng_below(rng, (uint64_t)cJSON_GetArraySize(architecture) - 1);
        char *key = mem_strdup(cJSON_GetArrayItem(architecture, at)->string);
        cJSON_ReplaceItemInObjectCaseSensitive(architecture, key, draw_value(rng));
        mem_free(key);
    }
    if (strcmp(KINDS[kind].name, "wavlm") == 0 && rng_below(rng, 3) == 0)
        cJSON_AddItemToObject(architecture, "conv_feature_layers", draw_convolutions(rng));
    return architecture;
}

static void draw_weights(Parameters *parameters, Rng *rng, bool wild)
{
    for (int64_t i = 0; wild && i < parameters->n_items; i++)
        for (int64_t j = 0; j < tensor_size(&parameters->items[i]->tensor); j++)
            parameters->items[i]->tensor.data[j] = (float)rng_normal(rng);
}

static void forward(Encoder *encoder, Rng *rng)
{
    int64_t n = encoder->min_input + (int64_t)rng_below(rng, 3),
            bands = encoder->input == ENCODER_FBANK ? encoder->input_width : 1;
    assert_true(n >= 1 && n <= INPUT_MOST);
    float *input = mem_alloc((size_t)(BATCH * n * bands), sizeof(float));
    for (int64_t i = 0; i < BATCH * n * bands; i++)
        input[i] = (float)rng_normal(rng);
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *x =
        tape_input(tape, encoder->input == ENCODER_FBANK ? 3 : 2, (int64_t[]){BATCH, n, bands}, input);
    const Tensor *y = encoder_forward(encoder, tape, x, &(ForwardMode){.training = false});
    assert_int_equal(y->dim[0], BATCH);
    assert_int_equal(y->dim[1], encoder->embedding_dim);
    tape_destroy(tape);
    mem_free(input);
}

static void try_architecture(const cJSON *architecture, Rng *rng, bool *was_made)
{
    Error error = {0};
    Parameters parameters;
    parameters_init(&parameters);
    Encoder *encoder = encoder_create_any(architecture, &parameters, &error);
    *was_made = encoder && parameters.n_values + parameters.n_buffers <= PARAMETERS_MOST;
    if (!encoder && (!error.text[0] || strchr(error.text, '\n')))
        fail_msg("refused without one sentence");
    if (encoder && encoder->input == ENCODER_FBANK && encoder->input_width != 80)
        assert_int_equal(encoder_check_input(encoder, &error), -1);
    if (*was_made) {
        assert_int_equal(parameters_allocate(&parameters, 1, false, &error), 0);
        draw_weights(&parameters, rng, rng_below(rng, 2) == 0);
        forward(encoder, rng);
    }
    encoder_destroy(encoder);
    parameters_release(&parameters);
}

static void limit_memory(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    setrlimit(RLIMIT_AS, &(struct rlimit){(rlim_t)6 << 30, (rlim_t)6 << 30});
#endif
}

static void test_any_numbers(void **state)
{
    (void)state;
    const char *seed_text = getenv("SEED");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    int64_t n_made = 0;
    for (int i = 0; i < ROUNDS * N_KINDS; i++) {
        Rng rng = rng_stream(seed, "architectures", (uint64_t)i, 0);
        cJSON *architecture = draw_architecture(i % N_KINDS, &rng);
        char *text = cJSON_PrintUnformatted(architecture);
        pid_t child = fork();
        if (child == 0) {
            bool was_made;
            alarm(60);
            limit_memory();
            close(STDERR_FILENO);
            try_architecture(architecture, &rng, &was_made);
            _exit(was_made ? 0 : 77);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        n_made += status == 0;
        if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 77))
            fail_msg("status %x of %s", status, text);
        cJSON_free(text);
        cJSON_Delete(architecture);
    }
    print_message("%lld of %d could be made\n", (long long)n_made, ROUNDS * N_KINDS);
    assert_true(n_made > ROUNDS); // or the test would test nothing
}

// ---- files of a few bytes that ask for gigabytes
// ------------------------------------------------------------

static int load_in_child(const char *path, const char *reason)
{
    Error error = {0};
    LoadedEncoder loaded;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    setrlimit(RLIMIT_AS, &(struct rlimit){(rlim_t)1 << 30, (rlim_t)1 << 30});
#endif
    if (encoder_load(path, &loaded, &error) == 0)
        return 1;
    return strstr(error.text, reason) && strstr(error.text, path) ? 0 : 2;
}

static void expect_refused(const char *path, const char *architecture, const char *reason)
{
    float one = 1;
    SafeTensor tensor = {
        .name = "x", .type = SAFE_F32, .n_dims = 1, .dim = {1}, .n_elements = 1, .data = &one};
    const SafeMetadata metadata = {"architecture", architecture};
    assert_int_equal(safe_publish(path, &tensor, 1, &metadata, 1, NULL), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(load_in_child(path, reason));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
        fail_msg("%s: status %x", architecture, status);
}

static void test_greedy_models(void **state)
{
    (void)state;
    char *folder = scratch_create(), *path = mem_printf("%s/m.safetensors", folder);
    expect_refused(path, "{\"encoder\":\"ecapa\",\"channels\":65536,\"pre_pool_channels\":65536}", "missing");
    expect_refused(path, "{\"encoder\":\"resnet\",\"m_channels\":4096}", "missing");
    expect_refused(path,
                   "{\"encoder\":\"wavlm\",\"encoder_embed_dim\":65536,\"encoder_ffn_embed_dim\":262144,"
                   "\"encoder_attention_heads\":16}",
                   "missing");
    expect_refused(path, "{\"encoder\":\"mfa_conformer\",\"output_size\":16384,\"linear_units\":65536}",
                   "missing");
    expect_refused(path, "{\"encoder\":\"ivector\",\"gaussians\":65536,\"ivector_dim\":4096}", "missing");
    expect_refused(path, "{\"encoder\":\"ecapa\",\"feat_dim\":40}", "feat_dim is 40");
    expect_refused(path, "{\"encoder\":\"resnet\",\"feat_dim\":81}", "feat_dim is 81");
    expect_refused(path, "{\"encoder\":\"ecapa\",\"channels\":-1}", "channels must be");
    expect_refused(path, "{\"encoder\":\"ecapa\",\"channels\":1e300}", "channels must be");
    expect_refused(path, "{\"encoder\":7}", "not known");
    expect_refused(path, "[]", "does not say its architecture");
    expect_refused(
        path,
        "{\"encoder\":\"wavlm\",\"conv_feature_layers\":[[4,65536,65536],[4,65536,65536],[4,65536,65536],"
        "[4,65536,65536],[4,65536,65536]]}",
        "conv_feature_layers");
    mem_free(path);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_greedy_models),
                                       cmocka_unit_test(test_any_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
