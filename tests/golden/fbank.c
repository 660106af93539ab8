// Log-mel filter banks and MFCC against Kaldi's definition as torchaudio computes it.
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "audio/fbank.h"
#include "base/memory.h"
#include "golden.h"

// Samples in [-1, 1) of in.<pcm>.
static float *load_samples(const Golden *golden, const char *pcm, int64_t *n)
{
    const SafeTensor *tensor = golden_find(golden, "in.%s", pcm);
    assert_non_null(tensor);
    const int16_t *values = tensor->data;
    *n = tensor->n_elements;
    float *samples = mem_alloc((size_t)*n, sizeof(float));
    for (int64_t i = 0; i < *n; i++)
        samples[i] = (float)values[i] / 32768.0f;
    return samples;
}

static FbankOptions options_from(const cJSON *config)
{
    FbankOptions options = fbank_defaults();
    options.n_mels = (int)golden_number(config, "num_mel_bins");
    options.low_hz = (float)golden_number(config, "low_freq");
    options.high_hz = (float)golden_number(config, "high_freq");
    options.dither = (float)golden_number(config, "dither");
    options.povey_window = strcmp(golden_text(config, "window_type"), "povey") == 0;
    if (!options.povey_window)
        golden_fixed_text(config, "window_type", "hamming");
    static const struct {
        const char *key;
        double value;
    } FIXED[] = {{"frame_length", 25},
                 {"frame_shift", 10},
                 {"sample_frequency", 16000},
                 {"use_energy", 0},
                 {"remove_dc_offset", 1},
                 {"preemphasis_coefficient", 0.97},
                 {"round_to_power_of_two", 1},
                 {"snip_edges", 1},
                 {"use_power", 1},
                 {"use_log_fbank", 1},
                 {"htk_compat", 0},
                 {"log_floor", FLT_EPSILON}};
    for (size_t i = 0; i < sizeof FIXED / sizeof FIXED[0]; i++)
        golden_fixed(config, FIXED[i].key, FIXED[i].value);
    golden_known(config, "raw_energy", "energy_floor", "sample_scale",
                 NULL); // the first two are of use_energy
    return options;
}

static void test_fbank(void **state)
{
    (void)state;
    Golden *golden = golden_open("fbank.safetensors");
    FbankOptions options = options_from(cJSON_GetObjectItem(golden_config(golden), "fbank"));
    Fbank *fbank = fbank_create(&options);
    for (int i = 0;; i++) {
        char pcm[32], name[64];
        snprintf(pcm, sizeof pcm, "pcm%d", i);
        if (!golden_find(golden, "in.%s", pcm))
            break;
        int64_t n;
        float *samples = load_samples(golden, pcm, &n);
        int64_t n_frames = fbank_frames(n), n_values = n_frames * fbank_dim(fbank);
        float *features = mem_alloc((size_t)n_values, sizeof(float));
        fbank_compute(fbank, samples, n, NULL, features);
        snprintf(name, sizeof name, "out.fbank.%s", pcm);
        golden_check_absolute(golden, name, features, n_values, 5e-3); // where a bin is far below its frame
        fbank_subtract_mean(features, n_frames, fbank_dim(fbank));
        snprintf(name, sizeof name, "out.fbank_cmn.%s", pcm);
        golden_check_absolute(golden, name, features, n_values, 5e-3);
        mem_free(features);
        mem_free(samples);
    }
    fbank_destroy(fbank);
    golden_close(golden);
}

static void test_mfcc(void **state)
{
    (void)state;
    Golden *golden = golden_open("fbank.safetensors");
    const char *pcm = golden_text(golden_config(golden), "mfcc_of") + strlen("in.");
    const cJSON *setting = NULL;
    cJSON_ArrayForEach(setting, cJSON_GetObjectItem(golden_config(golden), "mfcc"))
    {
        FbankOptions options = options_from(setting);
        options.n_ceps = (int)golden_number(setting, "num_ceps");
        options.cepstral_lifter = (float)golden_number(setting, "cepstral_lifter");
        Fbank *fbank = fbank_create(&options);
        int64_t n;
        float *samples = load_samples(golden, pcm, &n);
        int64_t n_values = fbank_frames(n) * fbank_dim(fbank);
        float *features = mem_alloc((size_t)n_values, sizeof(float));
        fbank_compute(fbank, samples, n, NULL, features);
        char name[128];
        snprintf(name, sizeof name, "out.mfcc_%s.%s", setting->string, pcm);
        golden_check_absolute(golden, name, features, n_values, 1e-2);
        mem_free(features);
        mem_free(samples);
        fbank_destroy(fbank);
    }
    golden_close(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fbank), cmocka_unit_test(test_mfcc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
