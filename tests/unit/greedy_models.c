// Models of a few bytes that ask for gigabytes, or for what cannot be, are refused with a sentence before
// anything of that size is made. (What encoders do with any numbers: architectures.c.)
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "cache/safetensors.h"
#include "damage.h"
#include "train/checkpoint.h"

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

// The number is found before hours of work, and named.
static void test_broken_weights(void **state)
{
    (void)state;
    char *folder = scratch_create(), *path = mem_printf("%s/m.safetensors", folder);
    Error error = {0};
    const float broken[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        Parameters parameters;
        parameters_init(&parameters);
        cJSON *architecture = cJSON_Parse("{\"encoder\":\"ecapa\",\"channels\":16,\"embed_dim\":8}");
        Encoder *encoder = encoder_create(architecture, &parameters, &error);
        assert_int_equal(parameters_allocate(&parameters, 1, false, &error), 0);
        parameters_find(&parameters, "layer2.se_res2block.3.linear1.bias")->tensor.data[3] = broken[i];
        assert_int_equal(model_publish(path, &parameters, NULL,
                                       &(ModelInfo){architecture, 1, 1, "0123456789abcdef"}, &error),
                         0);
        LoadedEncoder loaded;
        assert_int_equal(encoder_load(path, &loaded, &error), -1);
        assert_non_null(
            strstr(error.text, "layer2.se_res2block.3.linear1.bias holds a NaN or an infinity at 3"));
        assert_non_null(strstr(error.text, path));
        error_clear(&error);
        WarmStart start;
        assert_int_equal(model_warm_start(path, &parameters, NULL, &start, &error), -1);
        assert_non_null(strstr(error.text, "layer2.se_res2block.3.linear1.bias"));
        error_clear(&error);
        encoder_destroy(encoder);
        parameters_release(&parameters);
        cJSON_Delete(architecture);
    }
    mem_free(path);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_greedy_models),
                                       cmocka_unit_test(test_broken_weights)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
