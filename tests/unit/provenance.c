// The record beside an artefact: every input and output of the table stands in it, with the bytes' digests,
// and none is ever published in part.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/corpus_writer.h"
#include "cache/provenance.h"
#include "damage.h"
#include "played.h"

static char *folder;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

static char *in_folder(const char *name)
{
    return path_join(folder, name);
}

static void write_file(const char *name, const char *text)
{
    char *path = in_folder(name);
    scratch_write(path, text, strlen(text));
    mem_free(path);
}

static cJSON *load_record(const char *artefact)
{
    char *path = mem_printf("%s.json", artefact), *text;
    size_t n_bytes;
    assert_int_equal(file_read(path, &text, &n_bytes, NULL), 0);
    cJSON *record = cJSON_Parse(text);
    assert_non_null(record);
    mem_free(text);
    mem_free(path);
    return record;
}

static const char *text_at(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

// "labels=44bc2cf5ad770999 noise=..." of the items of a list.
static char *list_text(const cJSON *record, const char *list)
{
    char *text = mem_strdup("");
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(record, list))
    {
        char *longer = mem_printf("%s%s=%s ", text, text_at(item, "option"), text_at(item, "xxh64"));
        mem_free(text);
        text = longer;
    }
    return text;
}

static void test_record(void **state)
{
    (void)state;
    write_file("labels", "abc");
    write_file("weights", "");
    Played *p = played_create(folder);
    // The first optional input is left out: those behind it must not be lost.
    p->noise = in_folder("noise");
    p->report = in_folder("report");
    assert_int_equal(folder_create(p->noise, NULL), 0);
    write_file("noise/n.wav", "abc");
    p->program.seed = ((int64_t)1 << 53) + 1;
    played_run(p, "abc");
    cJSON *record = load_record(p->out);
    char *inputs = list_text(record, "inputs"), *outputs = list_text(record, "outputs");
    assert_non_null(strstr(inputs, "labels=44bc2cf5ad770999 noise=")); // XXH64 of "abc"
    assert_string_equal(outputs, "out=44bc2cf5ad770999 report=2e1472b57af294d1 ");
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(record, "options");
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(options, "rate")) == 0.1);
    assert_int_equal(cJSON_GetArraySize(options), 4); // settings alone: encoder, rate, epochs, seed
    const cJSON *neutral = cJSON_GetObjectItemCaseSensitive(record, "neutral");
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(neutral, "log-every")) == 10);
    assert_string_equal(text_at(options, "seed"), "9007199254740993");
    assert_int_equal(strlen(text_at(record, "recipe")), 16);
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(record, "peak_bytes")) > 0);
    mem_free(inputs);
    mem_free(outputs);
    cJSON_Delete(record);
    p = played_create(folder);
    p->init = in_folder("nowhere");
    Error error = {0};
    assert_int_equal(provenance_publish(&p->program, p->out, &error), -1);
    assert_non_null(strstr(error.text, "nowhere"));
}

static void recipe_of(Played *p, char recipe[17])
{
    Error error = {0};
    if (provenance_recipe(&p->program, recipe, &error) < 0)
        fail_msg("%s", error.text);
}

typedef void Change(Played *p);

static void change_rate(Played *p)
{
    p->rate = 0.1 + 1e-16;
}
static void change_seed(Played *p)
{
    p->program.seed = 1;
}
static void change_encoder(Played *p)
{
    p->encoder = "wavlm";
}
static void change_epochs(Played *p)
{
    p->epochs = 4;
}
static void add_report(Played *p)
{
    p->report = "r";
}
static void change_labels(Played *p)
{
    p->labels = in_folder("other");
}
static void add_init(Played *p)
{
    p->init = in_folder("labels");
}
static void change_log_every(Played *p)
{
    p->log_every = 1;
}
static void move_labels(Played *p)
{
    p->labels = in_folder("copy");
}
static void change_out(Played *p)
{
    p->out = "elsewhere/model";
}

static void test_recipe(void **state)
{
    (void)state;
    static const struct {
        Change *change;
        bool counts;
    } cases[] = {{change_rate, true},  {change_seed, true}, {change_encoder, true}, {change_epochs, true},
                 {add_report, true},   {add_init, true},    {change_labels, true},  {change_log_every, false},
                 {move_labels, false}, {change_out, false}};
    write_file("labels", "abc");
    write_file("copy", "abc");
    write_file("other", "abd");
    char plain[17], changed[17];
    recipe_of(played_create(folder), plain);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Played *p = played_create(folder);
        cases[i].change(p);
        recipe_of(p, changed);
        if ((strcmp(plain, changed) != 0) != cases[i].counts)
            fail_msg("case %zu: %s, %s", i, plain, changed);
    }
}

// An input that is written while it is read: nobody knows what was read.
static void test_changed_input(void **state)
{
    (void)state;
    write_file("labels", "abc");
    Played *p = played_create(folder);
    provenance_begin(&p->program);
    write_file("labels", "abcd");
    played_run(p, "x");
    cJSON *record = load_record(p->out);
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(record, "inputs")->child;
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(record, "recipe")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(input, "xxh64")));
    cJSON_Delete(record);
}

static int64_t allocations_left = INT64_MAX;

static void *scarce_malloc(size_t n_bytes)
{
    return allocations_left-- > 0 ? malloc(n_bytes) : NULL;
}

// cJSON gets no memory at its n-th request, for every n: then there is the record of before, or the whole of
// the new one.
static void test_out_of_memory(void **state)
{
    (void)state;
    write_file("labels", "abc");
    Played *p = played_create(folder);
    p->report = in_folder("report");
    char *record = mem_printf("%s.json", p->out), *text;
    size_t n_bytes;
    int status = -1;
    int64_t n = 0;
    for (; status < 0; n++) {
        unlink(record);
        scratch_write(p->out, "x", 1);
        scratch_write(p->report, "x", 1);
        allocations_left = n;
        cJSON_InitHooks(&(cJSON_Hooks){scarce_malloc, free});
        Error error = {0};
        status = provenance_publish(&p->program, p->out, &error);
        cJSON_InitHooks(NULL);
        if (status < 0) {
            assert_non_null(strstr(error.text, "out of memory"));
            assert_false(file_exists(record));
        }
    }
    assert_true(n > 50);
    assert_int_equal(file_read(record, &text, &n_bytes, NULL), 0);
    assert_non_null(strstr(text, "peak_bytes"));
    mem_free(text);
    mem_free(record);
}

// --- folders

static void prepare(const char *path, int16_t sample, int compression_level)
{
    Error error = {0};
    int64_t n_done;
    int16_t samples[1000];
    for (int i = 0; i < 1000; i++)
        samples[i] = (int16_t)(sample + 7 * i % 100);
    assert_int_equal(folder_create(path, &error), 0);
    CorpusWriter *writer = corpus_writer_open(
        &(CorpusWriterOptions){path, "recipe", 1 << 20, compression_level}, &n_done, &error);
    assert_non_null(writer);
    assert_int_equal(corpus_writer_add(writer, "a", samples, 1000, &error), 0);
    assert_int_equal(corpus_writer_commit(writer, &error), 0);
}

static void digest_of(const char *path, char digest[17])
{
    Content content;
    Error error = {0};
    if (content_look(path, NULL, &content, &error) < 0 || content_digest(&content, &error) < 0)
        fail_msg("%s", error.text);
    memcpy(digest, content.digest, 17);
    content_release(&content);
}

// Prepared audio is what its shards hold, though utts.tsv is the same and no shard is read.
static void test_prepared_folder(void **state)
{
    (void)state;
    char *a = in_folder("a"), *b = in_folder("b"), *c = in_folder("c"), digests[3][17];
    prepare(a, 1, 3);
    prepare(b, 2, 3);
    prepare(c, 1, 3);
    digest_of(a, digests[0]);
    digest_of(b, digests[1]);
    digest_of(c, digests[2]);
    assert_string_not_equal(digests[0], digests[1]);
    assert_string_equal(digests[0], digests[2]);
    // A shard that is cut short is not the one that was written, and one that is not there neither.
    char *shard = path_join(c, "audio-00000.tar.zst"), cut[17];
    assert_int_equal(truncate(shard, 100), 0);
    digest_of(c, cut);
    assert_string_not_equal(cut, digests[0]);
    assert_int_equal(unlink(shard), 0);
    digest_of(c, digests[2]);
    assert_string_not_equal(digests[2], digests[0]);
    assert_string_not_equal(digests[2], cut);
    mem_free(shard);
    mem_free(a);
    mem_free(b);
    mem_free(c);
}

static void test_other_folder(void **state)
{
    (void)state;
    char *noise = in_folder("sounds"), *moved = in_folder("moved"), before[17], after[17];
    assert_int_equal(folder_create(noise, NULL), 0);
    write_file("sounds/x.wav", "abc");
    write_file("sounds/.hidden", "abc");
    digest_of(noise, before);
    write_file("sounds/x.wav", "abc");
    write_file("sounds/.hidden", "abcd");
    assert_int_equal(rename(noise, moved), 0);
    digest_of(moved, after);
    assert_string_equal(before, after);
    write_file("moved/x.wav", "abd");
    digest_of(moved, after);
    assert_string_not_equal(before, after);
    write_file("moved/x.wav", "abc");
    write_file("moved/y.wav", "");
    digest_of(moved, after);
    assert_string_not_equal(before, after);
    mem_free(noise);
    mem_free(moved);
}

// The list beside a .npy, the archives of a .scp.
static void test_files_that_lead_on(void **state)
{
    (void)state;
    static const struct {
        const char *path, *other;
    } cases[] = {{"e.npy", "utts.txt"}, {"e.scp", "e.ark"}};
    char *line = mem_printf("a %s/e.ark:0\nb %s/e.ark:100\n", folder, folder);
    write_file("e.scp", line);
    write_file("e.npy", "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = in_folder(cases[i].path), before[17], after[17];
        write_file(cases[i].other, "abc");
        digest_of(path, before);
        write_file(cases[i].other, "abd");
        digest_of(path, after);
        assert_string_not_equal(before, after);
        mem_free(path);
    }
    mem_free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_recipe),
        cmocka_unit_test(test_changed_input),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_prepared_folder),
        cmocka_unit_test(test_other_folder),
        cmocka_unit_test(test_files_that_lead_on),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
