// The safetensors reader against files of ours, of strangers, and damaged ones.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/text_buffer.h"
#include "cache/safetensors.h"
#include "damage.h"
#include "golden.h"

static char *folder, *path;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    path = path_join(folder, "x.safetensors");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    mem_free(path);
    return 0;
}

static const float WEIGHT[6] = {1, -2, 3.5f, 0, 1e-30f, 7};
static const int64_t STEP[1] = {INT64_C(1) << 40};

static void publish_example(void)
{
    SafeTensor tensors[] = {
        {.name = "z.weight", .type = SAFE_F32, .n_dims = 2, .dim = {2, 3}, .n_elements = 6, .data = WEIGHT},
        {.name = "a.step", .type = SAFE_I64, .n_dims = 1, .dim = {1}, .n_elements = 1, .data = STEP}};
    SafeMetadata metadata[] = {{"architecture", "{\"name\": \"ecapa\"}"}, {"digest", "not mine"}};
    Error error = {0};
    assert_int_equal(safe_publish(path, tensors, 2, metadata, 2, &error), 0);
}

static void write_stranger(const char *header, const char *data, size_t n_data)
{
    uint64_t length = strlen(header);
    size_t n_bytes = 8 + length + n_data;
    char *bytes = mem_alloc(n_bytes, 1);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    memcpy(bytes + 8 + length, data, n_data);
    scratch_write(path, bytes, n_bytes);
    mem_free(bytes);
}

static void assert_refused(const char *reason)
{
    Error error = {0};
    SafeReader *reader = safe_open(path, &error);
    assert_null(reader);
    if (!strstr(error.text, reason) || !strstr(error.text, "x.safetensors"))
        fail_msg("wanted \"%s\", got: %s", reason, error.text);
}

static void test_round_trip(void **state)
{
    (void)state;
    publish_example();
    Error error = {0};
    SafeReader *reader = safe_open(path, &error);
    assert_non_null(reader);
    assert_int_equal(safe_count(reader), 2);
    assert_string_equal(safe_at(reader, 0)->name, "z.weight");
    const SafeTensor *weight = safe_find(reader, "z.weight"), *step = safe_find(reader, "a.step");
    assert_int_equal(weight->n_dims, 2);
    assert_int_equal(weight->dim[1], 3);
    assert_memory_equal(weight->data, WEIGHT, sizeof WEIGHT);
    assert_int_equal(*(const int64_t *)step->data, STEP[0]);
    assert_null(safe_find(reader, "b"));
    assert_string_equal(safe_metadata(reader, "architecture"), "{\"name\": \"ecapa\"}");
    assert_null(safe_metadata(reader, "nothing"));
    safe_close(reader);
}

static void must_be_refused(const char *damaged, void *context, const char *what)
{
    (void)context;
    Error error = {0};
    SafeReader *reader = safe_open(damaged, &error);
    if (reader)
        fail_msg("accepted with %s", what);
    assert_non_null(strstr(error.text, damaged));
}

static void test_every_flip_and_cut_is_refused(void **state)
{
    (void)state;
    publish_example();
    Error error = {0};
    char *whole;
    size_t n_bytes;
    assert_int_equal(file_read(path, &whole, &n_bytes, &error), 0);
    damage_each_bit(path, whole, n_bytes, 0, 1, must_be_refused, NULL);
    damage_each_cut(path, whole, n_bytes, 1, must_be_refused, NULL);
    mem_free(whole);
}

static void test_strangers(void **state)
{
    (void)state;
    static const struct {
        const char *header, *reason;
    } cases[] = {
        {"[]", "not a JSON object"},
        {"{\"a\":1}", "not described"},
        {"{\"a\":{\"dtype\":\"F8\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         "a type that the format does not know"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}",
         "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}",
         "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "another size"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,80]}}", "inside the file"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "inside the file"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "hole"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "do not end"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         "overlaps"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         "twice"},
        {"{\"__metadata__\":{\"k\":1},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         "strings"},
        {"{}x", "follows"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_stranger(cases[i].header, "\0\0\0\0\0\0\0", 8);
        assert_refused(cases[i].reason);
    }
}

static void test_unaligned_data_are_aligned(void **state)
{
    (void)state;
    write_stranger("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}} ", "\0\0\x80\x3f", 4);
    Error error = {0};
    SafeReader *reader = safe_open(path, &error);
    assert_non_null(reader);
    const SafeTensor *tensor = safe_find(reader, "a");
    assert_int_equal((uintptr_t)tensor->data % 4, 0);
    assert_true(*(const float *)tensor->data == 1.0f);
    safe_close(reader);
}

static const SafeTensor *only_tensor(SafeReader **reader)
{
    Error error = {0};
    *reader = safe_open(path, &error);
    if (!*reader)
        fail_msg("%s", error.text);
    return safe_at(*reader, 0);
}

// 1, -2, 65504, 2^-24, -infinity of binary16; 1, -2, pi, 2^-133, infinity of bfloat16; at any alignment.
static void test_half_precision(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        uint16_t bits[5];
        float values[5];
    } cases[] = {
        {"F16", {0x3c00, 0xc000, 0x7bff, 0x0001, 0xfc00}, {1, -2, 65504, 0x1p-24f, -INFINITY}},
        {"BF16", {0x3f80, 0xc000, 0x4049, 0x0001, 0x7f80}, {1, -2, 3.140625f, 0x1p-133f, INFINITY}},
    };
    for (int c = 0; c < 2; c++)
        for (int pad = 0; pad < 2; pad++) {
            char *header = mem_printf("{\"a\":{\"dtype\":\"%s\",\"shape\":[5],\"data_offsets\":[0,10]}}%s",
                                      cases[c].type, pad ? " " : "");
            write_stranger(header, (const char *)cases[c].bits, 10);
            SafeReader *reader;
            const SafeTensor *tensor = only_tensor(&reader);
            assert_int_equal(tensor->type, SAFE_F32);
            assert_string_equal(tensor->stored, cases[c].type);
            assert_memory_equal(tensor->data, cases[c].values, sizeof cases[c].values);
            safe_close(reader);
            mem_free(header);
        }
    double wide[2] = {0.1, -1e300};
    write_stranger("{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}}", (char *)wide, 16);
    SafeReader *reader;
    const float *narrow = only_tensor(&reader)->data;
    assert_true(narrow[0] == 0.1f && narrow[1] == -INFINITY);
    safe_close(reader);
}

// What nobody computes with here is listed: it does not make a file unreadable.
static void test_other_types(void **state)
{
    (void)state;
    write_stranger("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[0,3]},"
                   "\"b\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[3,4]}}",
                   "xxxx", 4);
    SafeReader *reader;
    const SafeTensor *tensor = only_tensor(&reader);
    assert_int_equal(tensor->type, SAFE_OTHER);
    assert_null(tensor->data);
    assert_string_equal(tensor->stored, "F8_E4M3");
    assert_int_equal(safe_count(reader), 2);
    safe_close(reader);
}

// 2.4 MB of header that would be 200 MB of JSON tree.
static void test_many_values(void **state)
{
    (void)state;
    enum { VALUES = 1200000 };
    TextBuffer header = {0};
    buffer_printf(&header, "{\"a\":[0");
    for (int i = 1; i < VALUES; i++)
        buffer_add(&header, ",0", 2);
    buffer_printf(&header, "]}");
    write_stranger(buffer_text(&header), "", 0);
    assert_refused("more than a million values");
    buffer_release(&header);
}

static void test_failures_name_the_file(void **state)
{
    (void)state;
    unlink(path);
    assert_refused("cannot open");
    write_stranger("", "", 0);
    char huge[8] = {0, 0, 0, 0, 0, 0, 0, 0x7f};
    scratch_write(path, huge, sizeof huge);
    assert_refused("longer than");
}

static void test_reads_reference_files(void **state)
{
    (void)state;
    Golden *golden = golden_open("losses.safetensors");
    assert_true(cJSON_HasObjectItem(golden_case(golden, "aam0"), "scale"));
    assert_true(golden_tolerance(golden, "grad.aam0.weight") > 0);
    for (int64_t i = 0; golden_at(golden, i); i++)
        if (golden_at(golden, i)->type == SAFE_F32)
            golden_check(golden, golden_at(golden, i)->name, golden_at(golden, i)->data,
                         golden_at(golden, i)->n_elements, 0, 0);
    golden_close(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_flip_and_cut_is_refused),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_unaligned_data_are_aligned),
        cmocka_unit_test(test_half_precision),
        cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_many_values),
        cmocka_unit_test(test_failures_name_the_file),
        cmocka_unit_test(test_reads_reference_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
