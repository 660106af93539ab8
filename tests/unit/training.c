// Training on a made corpus: batches do not depend on threads, an interrupted run ends with the bytes of an
// undisturbed one, another recipe starts afresh, weights that do not fit are named.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "audio/speed.h"
#include "base/files.h"
#include "base/memory.h"
#include "damage.h"
#include "tiny_corpus.h"
#include "train/architecture.h"
#include "train/classifier_trainer.h"
#include "train/dino_trainer.h"
#include "train/settings.h"

enum { SPEAKERS = 4, EACH = 3, N_UTTS = SPEAKERS * EACH, BATCH = 4, STEPS = 6, SEED = 11, FEATURES = 80 };
static const char *const SMALL = "channels=16,embed_dim=8,pre_pool_channels=16,astp_bottleneck_dim=4,"
                                 "se_bottleneck_dim=4,emb_bn=true";

static char *folder;
static Corpus *corpus;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    tiny_corpus_create(folder, SPEAKERS, EACH);
    corpus = corpus_open(folder, NULL);
    return corpus ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    corpus_close(corpus);
    scratch_remove(folder);
    return 0;
}

static BatchOptions batch_options(Sampler *sampler, int n_loaders)
{
    return (BatchOptions){.corpus = corpus,
                          .sampler = sampler,
                          .seed = SEED,
                          .input = ENCODER_FBANK,
                          .batch_size = BATCH,
                          .groups = {{2, 40}, {3, 25}},
                          .n_groups = 2,
                          .n_loaders = n_loaders,
                          .end_step = STEPS};
}

// --- batches

static float *copy_of_step(int n_loaders, double masked, int64_t wanted_step, int64_t first_step, size_t *n)
{
    Sampler *sampler = sampler_create_plain(N_UTTS, BATCH, SEED);
    AugmentOptions augment = {.probability = 0.7, .babble = corpus_babble, .babble_context = corpus};
    BatchOptions options = batch_options(sampler, n_loaders);
    Augmenter *augmenter = augmenter_create(&augment, NULL);
    options.augmenter = augmenter;
    options.spec_augment = masked;
    options.first_step = first_step;
    Batches *batches = batches_create(&options);
    const Batch *batch;
    Error error = {0};
    float *copy = NULL;
    *n = 2 * BATCH * 40 * FEATURES;
    int64_t step = first_step;
    while (batches_next(batches, &batch, &error) > 0) {
        assert_int_equal(batch->step, step++);
        if (batch->step == wanted_step)
            copy = memcpy(mem_alloc(*n, sizeof(float)), batch->inputs[0], *n * sizeof(float));
    }
    assert_int_equal(step, STEPS);
    assert_string_equal(error.text, "");
    batches_destroy(batches);
    augmenter_destroy(augmenter);
    sampler_destroy(sampler);
    return copy;
}

static void test_batches_depend_on_step_alone(void **state)
{
    (void)state;
    size_t n;
    float *one = copy_of_step(1, 0, 4, 0, &n), *three = copy_of_step(3, 0, 4, 0, &n),
          *late = copy_of_step(2, 0, 4, 3, &n), *masked = copy_of_step(1, 1, 4, 0, &n);
    assert_memory_equal(one, three, n * sizeof(float));
    assert_memory_equal(one, late, n * sizeof(float));
    for (int64_t d = 0; d < FEATURES; d++) { // mean-normalised over the 40 frames of a crop
        double sum = 0;
        for (int64_t t = 0; t < 40; t++)
            sum += one[t * FEATURES + d];
        assert_true(fabs(sum / 40) < 1e-4);
    }
    for (size_t i = 0, width = 40 * FEATURES; i < n; i += width) { // masking changes nothing else
        size_t zeros = 0;
        for (size_t k = i; k < i + width; k++) {
            assert_true(masked[k] == one[k] || masked[k] == 0);
            zeros += masked[k] == 0;
        }
        assert_in_range(zeros, 40 + FEATURES - 1, width / 2);
    }
    mem_free(one);
    mem_free(three);
    mem_free(late);
    mem_free(masked);
}

// The inputs of step 0, group after group: crops, then the same stretches clean.
static float *crops_and_clean(double degraded, double masked, size_t n)
{
    Sampler *sampler = sampler_create_plain(N_UTTS, BATCH, SEED);
    BatchOptions options = batch_options(sampler, 1);
    options.degrade = degraded;
    options.spec_augment = masked;
    options.groups[0] = (CropGroup){2, 40, false};
    options.groups[1] = (CropGroup){2, 40, true};
    Batches *batches = batches_create(&options);
    const Batch *batch;
    assert_int_equal(batches_next(batches, &batch, NULL), 1);
    float *copy = mem_alloc(2 * n, sizeof(float));
    memcpy(copy, batch->inputs[0], n * sizeof(float));
    memcpy(copy + n, batch->inputs[1], n * sizeof(float));
    batches_destroy(batches);
    sampler_destroy(sampler);
    return copy;
}

static void test_degraded_crops(void **state)
{
    (void)state;
    const size_t row = 40 * FEATURES, n = 2 * BATCH * row;
    float *plain = crops_and_clean(0, 0, n), *changed = crops_and_clean(1, 0, n),
          *again = crops_and_clean(1, 0, n), *both = crops_and_clean(1, 1, n);
    assert_memory_equal(plain, plain + n, n * sizeof(float));
    assert_memory_equal(plain + n, changed + n, n * sizeof(float)); // clean crops stay clean
    assert_memory_equal(plain + n, both + n, n * sizeof(float));
    assert_memory_equal(changed, again, n * sizeof(float));
    for (size_t i = 0; i < n; i += row)
        assert_memory_not_equal(plain + i, changed + i, row * sizeof(float));
    mem_free(plain);
    mem_free(changed);
    mem_free(again);
    mem_free(both);
}

// The first utterance has 6000 samples; a crop of 9840 repeats it from its start.
static void test_short_utterances_repeat(void **state)
{
    (void)state;
    enum { FRAMES = 60, CROP = 59 * 160 + 400 };
    int64_t labels[N_UTTS];
    for (int i = 0; i < N_UTTS; i++)
        labels[i] = i == 0 ? 0 : -1;
    Sampler *sampler = sampler_create_balanced(labels, N_UTTS, 1, 1, 2, SEED);
    BatchOptions options = batch_options(sampler, 1);
    options.input = ENCODER_WAVEFORM;
    options.batch_size = 2;
    options.groups[0] = (CropGroup){1, FRAMES, false};
    options.n_groups = 1;
    Batches *batches = batches_create(&options);
    const Batch *batch;
    float whole[TINY_CORPUS_SAMPLES / 2];
    assert_int_equal(corpus_read(corpus, 0, 0, TINY_CORPUS_SAMPLES / 2, whole, NULL), 0);
    assert_int_equal(batches_next(batches, &batch, NULL), 1);
    for (int i = 0; i < CROP; i++)
        assert_true(batch->inputs[0][i] == whole[i % (TINY_CORPUS_SAMPLES / 2)]);
    batches_destroy(batches); // with steps left: the loader is stopped
    sampler_destroy(sampler);
}

// Numbers beyond the corpus are its recordings at other speeds, as resampled by hand.
static void test_speeds(void **state)
{
    (void)state;
    enum { FRAMES = 40, CROP = 39 * 160 + 400, WHOLE = TINY_CORPUS_SAMPLES / 2, FAST = 7304 };
    for (int64_t k = 0; k < BATCH_SPEEDS; k++) {
        int64_t labels[BATCH_SPEEDS * N_UTTS];
        for (int64_t i = 0; i < BATCH_SPEEDS * N_UTTS; i++)
            labels[i] = i == k * N_UTTS ? 0 : -1;
        Sampler *sampler = sampler_create_balanced(labels, BATCH_SPEEDS * N_UTTS, 1, 1, 1, SEED);
        BatchOptions options = batch_options(sampler, 1);
        options.input = ENCODER_WAVEFORM;
        options.batch_size = 1;
        options.groups[0] = (CropGroup){1, FRAMES, false};
        options.n_groups = 1;
        Batches *batches = batches_create(&options);
        const Batch *batch;
        assert_int_equal(batches_next(batches, &batch, NULL), 1);
        assert_int_equal(batch_recording(corpus, batch->utts[0]), 0);
        const int64_t n_read = (int64_t[]){CROP, 5976, FAST}[k];
        float read[FAST], expected[CROP];
        Rng place = rng_stream(SEED, "crop", 0, 0);
        int64_t start = n_read < WHOLE ? (int64_t)rng_below(&place, (uint64_t)(WHOLE - n_read + 1)) : 0;
        int64_t n_there = n_read < WHOLE ? n_read : WHOLE;
        assert_int_equal(corpus_read(corpus, 0, start, n_there, read, NULL), 0);
        for (int64_t i = n_there; i < n_read; i++)
            read[i] = read[i - n_there];
        if (k == 0)
            memcpy(expected, read, sizeof expected);
        else
            assert_int_equal(speed_change(read, n_read, expected, CROP, NULL), 0);
        assert_memory_equal(batch->inputs[0], expected, sizeof expected);
        batches_destroy(batches);
        sampler_destroy(sampler);
    }
}

// --- whole runs

// What is trained, and when it is made to fail.
typedef struct Run {
    const char *path, *recipe, *init;
    int64_t fail_at; // the step before which the run dies; -1: none
    bool dino, poisoned;
    int64_t ssps_first; // 0: no positives from other recordings
    OptimizerKind optimizer;
    void *trainer;
    int (*begin)(void *, int64_t, BatchOptions *, Error *);
    int (*step)(void *, const Batch *, StepReport *, Error *);
} Run;

static int step_or_die(void *context, const Batch *batch, StepReport *report, Error *error)
{
    Run *run = context;
    if (batch->step == run->fail_at)
        return error_set(error, "killed");
    int status = run->step(run->trainer, batch, report, error);
    if (run->poisoned && batch->step == 1)
        report->loss = NAN;
    return status;
}

static int begin(void *context, int64_t step, BatchOptions *batches, Error *error)
{
    Run *run = context;
    return run->begin ? run->begin(run->trainer, step, batches, error) : 0;
}

static int run_loop(Run *run, TrainLoop *loop, Error *error)
{
    run->trainer = loop->trainer;
    run->begin = loop->begin;
    run->step = loop->step;
    loop->trainer = run;
    loop->begin = begin;
    loop->step = step_or_die;
    return train_loop_run(loop, error);
}

static Schedule rate(double peak)
{
    return (Schedule){.kind = SCHEDULE_COSINE, .peak = peak, .length = STEPS, .warmup_steps = 0};
}

static OptimizerOptions optimizer_of(const Run *run)
{
    OptimizerOptions options = optimizer_defaults(run->optimizer);
    options.momentum = 0.9;
    options.weight_decay = 1e-3;
    return options;
}

static int run_dino(Run *run, const cJSON *architecture, TrainLoop *loop, const ModelInfo *info, Error *error)
{
    DinoOptions options = {.architecture = architecture,
                           .n_parts = 1,
                           .head = {.hidden_dim = 12, .bottleneck_dim = 6, .n_prototypes = 20},
                           .optimizer = optimizer_of(run),
                           .learning_rate = rate(0.05),
                           .momentum = {.kind = SCHEDULE_COSINE, .peak = 0.9, .end = 1, .length = STEPS},
                           .teacher_temperature = {.kind = SCHEDULE_CONSTANT, .peak = 0.04},
                           .student_temperature = 0.1,
                           .center_momentum = 0.9,
                           .clip_norm = 3,
                           .last_layer_frozen = 2,
                           .ssps_first = run->ssps_first,
                           .ssps_every = run->ssps_first > 0 ? 3 : 0,
                           .ssps_clusters = SPEAKERS,
                           .n_utts = N_UTTS,
                           .groups = {loop->batches.groups[0], loop->batches.groups[1]},
                           .batch_size = BATCH,
                           .seed = SEED};
    DinoTrainer *trainer = dino_trainer_create(&options, error);
    if (!trainer)
        return -1;
    dino_trainer_attach(trainer, loop);
    int status = run_loop(run, loop, error);
    if (status == 0)
        status = dino_trainer_publish(trainer, run->path, info, error);
    dino_trainer_destroy(trainer);
    return status;
}

static int run_classifier(Run *run, const cJSON *architecture, TrainLoop *loop, const ModelInfo *info,
                          Error *error)
{
    int64_t labels[N_UTTS];
    for (int i = 0; i < N_UTTS; i++)
        labels[i] = i / EACH;
    ClassifierOptions options = {.n_parts = 1,
                                 .architecture = architecture,
                                 .start_path = run->init,
                                 .freeze = run->init ? "layer1." : NULL,
                                 .labels = labels,
                                 .objectives = "aam",
                                 .objective = {.n_classes = SPEAKERS, .n_views = 1, .aam = {.scale = 30}},
                                 .margin = {0, 0.2, 0, STEPS, false},
                                 .optimizer = optimizer_of(run),
                                 .learning_rate = rate(0.02),
                                 .encoder_rate_factor = 0.5,
                                 .pull = run->init ? 0.01 : 0,
                                 .crops = loop->batches.groups[0],
                                 .batch_size = BATCH,
                                 .seed = SEED};
    loop->batches.n_groups = 1;
    ClassifierTrainer *trainer = classifier_trainer_create(&options, error);
    if (!trainer)
        return -1;
    classifier_trainer_attach(trainer, loop);
    int status = run_loop(run, loop, error);
    if (status == 0)
        status = classifier_trainer_publish(trainer, run->path, info, error);
    classifier_trainer_destroy(trainer);
    return status;
}

static int run_training(Run *run, Error *error)
{
    cJSON *architecture = architecture_parse("ecapa", SMALL, error);
    Sampler *sampler = sampler_create_plain(N_UTTS, BATCH, SEED);
    TrainLoop loop = {.stage = "test",
                      .model_path = run->path,
                      .recipe = run->recipe,
                      .n_steps = STEPS,
                      .log_every = 2,
                      .pace = {.every = 3, .at_end = true},
                      .batches = batch_options(sampler, 1)};
    if (!run->dino)
        loop.batches.groups[0].n_views = 1;
    ModelInfo info = {architecture, STEPS, SEED, run->recipe};
    int status = (run->dino ? run_dino : run_classifier)(run, architecture, &loop, &info, error);
    if (status == 0)
        resume_finish(loop.model_path);
    sampler_destroy(sampler);
    cJSON_Delete(architecture);
    return status;
}

static void assert_same_files(const char *a, const char *b)
{
    char *first, *second;
    size_t n, m;
    assert_int_equal(file_read(a, &first, &n, NULL), 0);
    assert_int_equal(file_read(b, &second, &m, NULL), 0);
    assert_int_equal(n, m);
    assert_memory_equal(first, second, n);
    mem_free(first);
    mem_free(second);
}

// Whole; then dying before the 5th step, after the checkpoint of the 3rd; then the rest.
static void check_resume(Run run, const char *name)
{
    char *whole = mem_printf("%s/%s-whole.safetensors", folder, name);
    char *broken = mem_printf("%s/%s-broken.safetensors", folder, name);
    char *resume = mem_printf("%s.resume", broken);
    Error error = {0};
    run.recipe = "0123456789abcdef";
    run.path = whole;
    run.fail_at = -1;
    if (run_training(&run, &error) < 0)
        fail_msg("%s", error.text);
    run.path = broken;
    run.fail_at = 4;
    assert_int_equal(run_training(&run, &error), -1);
    assert_string_equal(error.text, "killed");
    assert_true(file_exists(resume) && !file_exists(broken));
    error_clear(&error);
    run.fail_at = 2; // never reached: the run goes on behind it
    if (run_training(&run, &error) < 0)
        fail_msg("%s", error.text);
    assert_same_files(whole, broken);
    assert_false(file_exists(resume));
    mem_free(whole);
    mem_free(broken);
    mem_free(resume);
}

static void test_resume_is_exact(void **state)
{
    (void)state;
    check_resume((Run){.dino = true, .optimizer = OPTIMIZER_SGD}, "dino-sgd");
    check_resume((Run){.dino = true, .optimizer = OPTIMIZER_ADAMW}, "dino-adamw");
    check_resume((Run){.dino = false, .optimizer = OPTIMIZER_SGD}, "classifier-sgd");
    char *init = path_join(folder, "dino-sgd-whole.safetensors");
    check_resume((Run){.dino = false, .optimizer = OPTIMIZER_ADAMW, .init = init}, "classifier-adamw-pull");
    mem_free(init);
}

static bool is_same_file(const char *a, const char *b)
{
    char first[17], second[17];
    assert_int_equal(file_digest(a, first, NULL), 0);
    assert_int_equal(file_digest(b, second, NULL), 0);
    return strcmp(first, second) == 0;
}

// The run goes on after step 3: with clusters that were made before step 2, then with ones made there.
static void test_resume_with_positives(void **state)
{
    (void)state;
    check_resume((Run){.dino = true, .ssps_first = 2}, "dino-ssps-between");
    check_resume((Run){.dino = true, .ssps_first = 3}, "dino-ssps-boundary");
    check_resume((Run){.dino = true}, "dino-plain");
    char *with = path_join(folder, "dino-ssps-between-whole.safetensors");
    char *without = path_join(folder, "dino-plain-whole.safetensors");
    assert_false(is_same_file(with, without));
    mem_free(with);
    mem_free(without);
}

static void test_other_recipe_starts_afresh(void **state)
{
    (void)state;
    char *path = path_join(folder, "recipe.safetensors");
    Error error = {0};
    Run run = {.dino = true, .path = path, .recipe = "another recipe", .fail_at = 4};
    assert_int_equal(run_training(&run, &error), -1);
    error_clear(&error);
    run.recipe = "0123456789abcdef";
    run.fail_at = 0; // reached: this run starts at the beginning
    assert_int_equal(run_training(&run, &error), -1);
    assert_string_equal(error.text, "killed");
    mem_free(path);
}

static void test_damaged_state_is_refused(void **state)
{
    (void)state;
    char *path = path_join(folder, "damaged.safetensors"), *resume = mem_printf("%s.resume", path), *data;
    Error error = {0};
    size_t n;
    Run run = {.dino = true, .path = path, .recipe = "r", .fail_at = 4};
    assert_int_equal(run_training(&run, &error), -1);
    assert_int_equal(file_read(resume, &data, &n, NULL), 0);
    data[n / 2] ^= 4;
    scratch_write(resume, data, n);
    error_clear(&error);
    assert_int_equal(run_training(&run, &error), -1);
    assert_non_null(strstr(error.text, "damaged.safetensors.resume"));
    mem_free(data);
    mem_free(resume);
    mem_free(path);
}

static void test_non_finite_names_utterances(void **state)
{
    (void)state;
    char *path = path_join(folder, "nan.safetensors");
    Error error = {0};
    Run run = {.dino = false, .path = path, .recipe = "r", .fail_at = -1, .poisoned = true};
    assert_int_equal(run_training(&run, &error), -1);
    assert_non_null(strstr(error.text, "step 2: loss nan"));
    assert_non_null(strstr(error.text, "/u"));
    mem_free(path);
}

// --- models on disk

static void test_encoder_load(void **state)
{
    (void)state;
    char *path = path_join(folder, "classifier-sgd-whole.safetensors");
    LoadedEncoder loaded;
    Error error = {0};
    if (encoder_load(path, &loaded, &error) < 0) // the classifier's weights do not disturb
        fail_msg("%s", error.text);
    assert_int_equal(loaded.encoder->embedding_dim, 8);
    assert_null(loaded.parameters.grads);
    loaded_encoder_release(&loaded);
    mem_free(path);
}

static void test_mismatch_is_named(void **state)
{
    (void)state;
    char *path = path_join(folder, "odd.safetensors");
    float data[16] = {0};
    const SafeTensor tensors[] = {
        {.name = "layer1.conv.bias",
         .type = SAFE_F32,
         .n_dims = 1,
         .dim = {7},
         .n_elements = 7,
         .data = data},
        {.name = "stranger", .type = SAFE_F32, .n_dims = 1, .dim = {2}, .n_elements = 2, .data = data}};
    char *architecture = mem_printf("{\"encoder\": \"ecapa\", \"channels\": 16}");
    const SafeMetadata metadata[] = {{"architecture", architecture}};
    assert_int_equal(safe_publish(path, tensors, 2, metadata, 1, NULL), 0);
    LoadedEncoder loaded;
    Error error = {0};
    assert_int_equal(encoder_load(path, &loaded, &error), -1);
    assert_non_null(strstr(error.text, "missing (layer1.conv.weight"));
    assert_non_null(strstr(error.text, "1 surplus (stranger)"));
    assert_non_null(strstr(error.text, "1 of another shape (layer1.conv.bias)"));
    mem_free(architecture);
    mem_free(path);
}

// 40 epochs of 20 steps made 1600 steps: an epoch counts for two.
static void test_stretched_epochs(void **state)
{
    (void)state;
    TrainSettings s = {.epochs = 40, .min_steps = 1600};
    assert_int_equal(train_steps(&s, 20), 1600);
    assert_int_equal(train_epoch(&s, 20, 0), 0);
    assert_int_equal(train_epoch(&s, 20, 1), 1);
    assert_int_equal(train_epoch(&s, 20, 13), 25);
    assert_int_equal(train_epoch(&s, 50, 13), 13);
    s.steps = 1600;
    assert_int_equal(train_epoch(&s, 20, 13), 13);
}

static void test_architecture(void **state)
{
    (void)state;
    Error error = {0};
    cJSON *architecture = architecture_parse("ecapa", "channels=64,emb_bn=true,mode=odd,channels=32", &error);
    char *text = cJSON_PrintUnformatted(architecture);
    assert_string_equal(text, "{\"encoder\":\"ecapa\",\"emb_bn\":true,\"mode\":\"odd\",\"channels\":32}");
    cJSON_free(text);
    cJSON_Delete(architecture);
    assert_null(architecture_parse("ecapa", "channels", &error));
    assert_string_equal(error.text, "architecture: 'channels' is not key=value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_depend_on_step_alone),
        cmocka_unit_test(test_degraded_crops),
        cmocka_unit_test(test_short_utterances_repeat),
        cmocka_unit_test(test_speeds),
        cmocka_unit_test(test_resume_is_exact),
        cmocka_unit_test(test_resume_with_positives),
        cmocka_unit_test(test_other_recipe_starts_afresh),
        cmocka_unit_test(test_damaged_state_is_refused),
        cmocka_unit_test(test_non_finite_names_utterances),
        cmocka_unit_test(test_encoder_load),
        cmocka_unit_test(test_mismatch_is_named),
        cmocka_unit_test(test_stretched_epochs),
        cmocka_unit_test(test_architecture),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
