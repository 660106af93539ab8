// PyTorch checkpoints: ours round, those of strangers, hostile pickles in sound archives, damaged archives.
// Pickles are written by hand; "(", "t", "Q", "R" ... are the instructions of Python's pickletools.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <zip.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/torch_file.h"
#include "damage.h"

#define PROTO              "\200\2"
#define TEXT(length, text) "X" length "\0\0\0" text
#define STORAGE_KEY(type, key, n)                                                                            \
    "(" TEXT("\7", "storage") "ctorch\n" type "Storage\n" key TEXT("\3", "cpu") n "tQ"
#define STORAGE(type, n)      STORAGE_KEY(type, TEXT("\1", "0"), n)
#define TENSOR(storage, rest) "ctorch._utils\n_rebuild_tensor_v2\n(" storage rest "\211)tR"
#define FLOATS(rest)          TENSOR(STORAGE("Float", "K\6"), rest)
#define MINUS_ONE             "J\377\377\377\377"
#define TWO_TO_62             "\212\10\0\0\0\0\0\0\0\100" // 2^62
#define PICKLE(text)          PROTO text "."

static const float SIX[6] = {1, -2, 3.5f, 0, 1e-30f, 7};

typedef struct Member {
    const char *name;
    const void *data;
    size_t n_bytes;
    bool compressed;
} Member;

static char *folder, *path;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    path = path_join(folder, "x.pt");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    mem_free(path);
    return 0;
}

static void write_zip(const Member *members, size_t n_members)
{
    unlink(path);
    zip_t *archive = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    for (size_t i = 0; i < n_members; i++) {
        zip_source_t *source = zip_source_buffer(archive, members[i].data, members[i].n_bytes, 0);
        zip_int64_t index = zip_file_add(archive, members[i].name, source, 0);
        zip_set_file_compression(archive, (zip_uint64_t)index,
                                 members[i].compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
    }
    assert_int_equal(zip_close(archive), 0);
}

static void write_checkpoint(const void *pickle, size_t n_pickle, const void *storage, size_t n_storage)
{
    Member members[] = {{"x/data.pkl", pickle, n_pickle, false}, {"x/data/0", storage, n_storage, false}};
    write_zip(members, 2);
}

static TorchFile *open_sound(void)
{
    Error error = {0};
    TorchFile *file = torch_open(path, &error);
    if (!file)
        fail_msg("refused: %s", error.text);
    return file;
}

static void assert_refused(const char *reason)
{
    Error error = {0};
    TorchFile *file = torch_open(path, &error);
    if (file)
        fail_msg("accepted; wanted \"%s\"", reason);
    if (!strstr(error.text, reason) || !strstr(error.text, path) || strchr(error.text, '\n'))
        fail_msg("wanted \"%s\", got: %s", reason, error.text);
}

static void publish_example(void)
{
    SafeTensor tensors[] = {
        {.name = "z.weight", .type = SAFE_F32, .n_dims = 2, .dim = {2, 3}, .n_elements = 6, .data = SIX},
        {.name = "a.scale", .type = SAFE_F32, .n_elements = 1, .data = SIX + 5},
        {.name = "a.empty", .type = SAFE_F32, .n_dims = 2, .dim = {0, 3}, .data = SIX}};
    cJSON *cfg =
        cJSON_Parse("{\"layers\":12,\"far\":4294967296,\"rate\":-0.25,\"norm\":true,\"mode\":\"gelu\"}");
    Error error = {0};
    assert_int_equal(torch_publish(path, "model", cfg, tensors, 3, &error), 0);
    cJSON_Delete(cfg);
}

static bool is_example(const TorchValue *root)
{
    const TorchValue *cfg = torch_get(root, "cfg"), *model = torch_get(root, "model");
    const TorchValue *weight = torch_get(model, "z.weight"), *scale = torch_get(model, "a.scale");
    const TorchValue *empty = torch_get(model, "a.empty");
    return root->n == 2 && cfg->n == 5 && torch_get(cfg, "layers")->integer == 12 &&
           torch_get(cfg, "far")->integer == INT64_C(1) << 32 && torch_get(cfg, "rate")->real == -0.25 &&
           torch_get(cfg, "norm")->kind == TORCH_BOOL && torch_get(cfg, "norm")->integer == 1 &&
           strcmp(torch_get(cfg, "mode")->text, "gelu") == 0 && model->n == 3 && weight->n_dims == 2 &&
           weight->dim[0] == 2 && weight->dim[1] == 3 && memcmp(weight->data, SIX, sizeof SIX) == 0 &&
           scale->n_dims == 0 && scale->n_elements == 1 && scale->data[0] == 7 && empty->n_elements == 0 &&
           empty->dim[1] == 3;
}

static void test_round_trip(void **state)
{
    (void)state;
    publish_example();
    TorchFile *file = open_sound();
    assert_true(is_example(torch_root(file)));
    assert_string_equal(torch_get(torch_root(file), "model")->keys[0], "z.weight");
    assert_null(torch_get(torch_root(file), "nothing"));
    assert_null(torch_get(torch_get(torch_root(file), "model")->items[0], "z.weight"));
    torch_close(file);
}

static void test_published_twice_is_the_same(void **state)
{
    (void)state;
    char first[17], second[17];
    Error error = {0};
    publish_example();
    assert_int_equal(file_digest(path, first, &error), 0);
    sleep(2); // the clock of a zip archive ticks every other second
    publish_example();
    assert_int_equal(file_digest(path, second, &error), 0);
    assert_string_equal(first, second);
}

static void test_publish_refuses(void **state)
{
    (void)state;
    int64_t step = 3;
    SafeTensor integer = {.name = "step", .type = SAFE_I64, .n_elements = 1, .data = &step};
    cJSON *cfg = cJSON_Parse("{\"layers\":[1]}");
    Error error = {0};
    unlink(path);
    assert_int_equal(torch_publish(path, NULL, NULL, &integer, 1, &error), -1);
    assert_non_null(strstr(error.text, "tensor step"));
    error_clear(&error);
    assert_int_equal(torch_publish(path, "model", cfg, NULL, 0, &error), -1);
    assert_non_null(strstr(error.text, "cfg.layers"));
    error_clear(&error);
    assert_false(file_exists(path));
    assert_int_equal(torch_publish("/dev/null/x.pt", NULL, NULL, NULL, 0, &error), -1);
    assert_non_null(strstr(error.text, "/dev/null/x.pt"));
    cJSON_Delete(cfg);
}

static void test_plain_values(void **state)
{
    (void)state;
    // {"a": [None, -2, 70000, 0.5, (1, "b")], 7: OrderedDict(), "s": torch.Size((4,))} with PyTorch's
    // _metadata
    static const char pickle[] =
        PROTO "\225\1\0\0\0\0\0\0\0}q\0(\214\1a](NJ\376\377\377\377\212\3\160\21\1G?"
              "\340\0\0\0\0\0\0K\1C\1b\206eM\7\0"
              "ccollections\nOrderedDict\n)R}\214\11_metadata}sb\214\1sctorch\nSize\nK\4\205\205Ru.";
    write_checkpoint(pickle, sizeof pickle - 1, SIX, sizeof SIX);
    TorchFile *file = open_sound();
    const TorchValue *root = torch_root(file), *list = torch_get(root, "a");
    assert_int_equal(list->n, 5);
    assert_int_equal(list->items[0]->kind, TORCH_NONE);
    assert_int_equal(list->items[1]->integer, -2);
    assert_int_equal(list->items[2]->integer, 70000);
    assert_true(list->items[3]->real == 0.5);
    assert_string_equal(list->items[4]->items[1]->text, "b");
    assert_int_equal(torch_get(root, "7")->kind, TORCH_DICT);
    assert_int_equal(torch_get(root, "s")->items[0]->integer, 4);
    torch_close(file);
}

static void assert_tensor(const char *pickle, size_t n_pickle, const void *storage, size_t n_storage,
                          const float *expected, int64_t n_expected)
{
    write_checkpoint(pickle, n_pickle, storage, n_storage);
    TorchFile *file = open_sound();
    const TorchValue *tensor = torch_root(file);
    assert_int_equal(tensor->kind, TORCH_TENSOR);
    assert_int_equal(tensor->n_elements, n_expected);
    for (int64_t i = 0; i < n_expected; i++)
        if (tensor->data[i] != expected[i])
            fail_msg("element %d is %g instead of %g", (int)i, tensor->data[i], expected[i]);
    torch_close(file);
}

static void test_element_types(void **state)
{
    (void)state;
#define CASE(type, data)                                                                                     \
    {                                                                                                        \
        PICKLE(TENSOR(STORAGE(type, "K\4"), "K\0K\4\205K\1\205")), data, sizeof data                         \
    }
    static const double reals[4] = {0.5, -1e30, 0, 3};
    static const uint16_t halves[4] = {0x3c00, 0xc500, 0x0001, 0x7bff}; // 1, -5, 2^-24, the largest
    static const uint16_t brains[4] = {0x3f80, 0xc0a0, 0x0000, 0x7f00}; // 1, -5, 0, 2^127
    static const int64_t longs[4] = {INT64_C(1) << 40, -1, 0, 3};
    static const int32_t ints[4] = {1 << 30, -1, 0, 3};
    static const int16_t shorts[4] = {-32768, -1, 0, 3};
    static const int8_t chars[4] = {-128, -1, 0, 3};
    static const uint8_t bytes[4] = {255, 2, 0, 3};
    static const struct {
        char pickle[128];
        const void *data;
        size_t n_bytes;
    } cases[] = {CASE("Double", reals), CASE("Half", halves), CASE("BFloat16", brains),
                 CASE("Long", longs),   CASE("Int", ints),    CASE("Short", shorts),
                 CASE("Char", chars),   CASE("Byte", bytes),  CASE("Bool", bytes)};
#undef CASE
    static const float expected[][4] = {{0.5f, -1e30f, 0, 3}, {1, -5, 0x1p-24f, 65504}, {1, -5, 0, 0x1p127f},
                                        {0x1p40f, -1, 0, 3},  {0x1p30f, -1, 0, 3},      {-32768, -1, 0, 3},
                                        {-128, -1, 0, 3},     {255, 2, 0, 3},           {1, 1, 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n_pickle = sizeof cases[i].pickle;
        while (cases[i].pickle[n_pickle - 1] != '.')
            n_pickle--;
        assert_tensor(cases[i].pickle, n_pickle, cases[i].data, cases[i].n_bytes, expected[i], 4);
    }
}

static void test_infinite_halves(void **state)
{
    (void)state;
    static const uint16_t halves[2] = {0xfc00, 0x7e00};
    static const char pickle[] = PICKLE(TENSOR(STORAGE("Half", "K\2"), "K\0K\2\205K\1\205"));
    write_checkpoint(pickle, sizeof pickle - 1, halves, sizeof halves);
    TorchFile *file = open_sound();
    const float *data = torch_root(file)->data;
    assert_true(data[0] == -__builtin_inff());
    assert_true(data[1] != data[1]);
    torch_close(file);
}

static void test_views(void **state)
{
    (void)state;
    static const char transposed[] = PICKLE(FLOATS("K\0K\3K\2\206K\1K\3\206"));
    static const float by_columns[6] = {1, 0, -2, 1e-30f, 3.5f, 7};
    assert_tensor(transposed, sizeof transposed - 1, SIX, sizeof SIX, by_columns, 6);
    static const char tail[] = PICKLE(FLOATS("K\4K\2\205K\1\205"));
    assert_tensor(tail, sizeof tail - 1, SIX, sizeof SIX, SIX + 4, 2);
    static const char expanded[] = PICKLE(FLOATS("K\5K\3K\1\206K\0K\0\206"));
    static const float sevens[3] = {7, 7, 7};
    assert_tensor(expanded, sizeof expanded - 1, SIX, sizeof SIX, sevens, 3);
    static const char parameter[] = PICKLE("ctorch._utils\n_rebuild_parameter\n(" FLOATS("K\2))") "\210)tR");
    assert_tensor(parameter, sizeof parameter - 1, SIX, sizeof SIX, SIX + 2, 1);
}

static void test_shared_storage(void **state)
{
    (void)state;
    static const char pickle[] =
        PICKLE("](" FLOATS("K\0K\2\205K\1\205") "q\0h\0" FLOATS("K\1K\2\205K\1\205") "e");
    write_checkpoint(pickle, sizeof pickle - 1, SIX, sizeof SIX);
    TorchFile *file = open_sound();
    const TorchValue *root = torch_root(file);
    assert_int_equal(root->n, 3);
    assert_ptr_equal(root->items[0], root->items[1]);
    assert_true(root->items[0]->data[1] == -2 && root->items[2]->data[0] == -2);
    torch_close(file);
}

static void test_hostile_pickles(void **state)
{
    (void)state;
#define CASE(text, reason)                                                                                   \
    {                                                                                                        \
        text, sizeof text - 1, reason                                                                        \
    }
    static const struct {
        const char *pickle;
        size_t n_bytes;
        const char *reason;
    } cases[] = {
        CASE(PICKLE("cos\nsystem\n"), "data.pkl byte 2: the pickle asks for os.system; only tensors"),
        CASE(PICKLE("c__builtin__\neval\n" TEXT("\1", "1") "\205R"), "__builtin__.eval"),
        CASE(PICKLE("\214\10builtins\214\4eval\223"), "builtins.eval"),
        CASE(PICKLE("cargparse\nNamespace\n)\201"), "argparse.Namespace"),
        CASE(PICKLE("c\33[2J\nx\n"), "asks for ?[2J.x;"),
        CASE(PICKLE("cos\nsystem"), "does not end"),
        CASE(PICKLE("N)\223"), "no text"),
        CASE(PICKLE("N)R"), "no function"),
        CASE(PICKLE("ccollections\nOrderedDict\n]R"), "without a tuple"),
        CASE(PICKLE("ccollections\nOrderedDict\n]\205R"), "made from something"),
        CASE(PICKLE("ctorch\nFloatStorage\n)R"), "made in place"),
        CASE(PICKLE("ctorch\nFloatStorage\n"), "does not end with one value"),
        CASE(PICKLE("ctorch\nFloatStorage\n\205"), "does not end with one value"),
        CASE(PICKLE("]ctorch\nFloatStorage\na"), "a class or a storage"),
        CASE(PICKLE("ctorch\nSize\nK\4\205R"), "not made of a tuple"),
        CASE(PICKLE("ctorch._utils\n_rebuild_parameter\nN\210)\207R"), "not made of a tensor"),
        CASE(PICKLE("ctorch._utils\n_rebuild_tensor_v2\n)R"), "not described as PyTorch does"),
        CASE(PICKLE(TENSOR("N", "K\0))")), "not described as PyTorch does"),
        CASE(PICKLE(FLOATS("K\0" MINUS_ONE "\205K\1\205")), "impossible shape"),
        CASE(PICKLE(FLOATS("K\0K\2\205" MINUS_ONE "\205")), "impossible shape"),
        CASE(PICKLE(FLOATS("K\0" TWO_TO_62 TWO_TO_62 "\206K\0K\0\206")), "impossible shape"),
        CASE(PICKLE(FLOATS("K\0N\205K\1\205")), "impossible shape"),
        CASE(PICKLE(FLOATS("K\0K\6\205)")), "two lists"),
        CASE(PICKLE(FLOATS("K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1t(K\1K\1K\1K\1K\1K\1K\1K\1K\1t")), "at most 8"),
        CASE(PICKLE(FLOATS("K\0K\5\205" TWO_TO_62 "\205")), "beyond its storage"),
        CASE(PICKLE(FLOATS("K\0K\7\205K\1\205")), "beyond its storage"),
        CASE(PICKLE(FLOATS("K\1K\6\205K\1\205")), "beyond its storage"),
        CASE(PICKLE(FLOATS(TWO_TO_62 "K\1\205K\1\205")), "beyond its storage"),
        CASE(PICKLE(FLOATS(MINUS_ONE "K\1\205K\1\205")), "beyond its storage"),
        CASE(PICKLE(FLOATS("K\0J\0\0\0\100\205K\0\205")), "times the file's size"),
        CASE(PICKLE(STORAGE("Float", "K\7")), "shorter than the pickle says"),
        CASE(PICKLE(STORAGE("Double", TWO_TO_62)), "shorter than the pickle says"),
        CASE(PICKLE(STORAGE("Float", MINUS_ONE)), "does not describe a storage"),
        CASE(PICKLE(STORAGE_KEY("Float", TEXT("\1", "9"), "K\6")), "data/9 is missing"),
        CASE(PICKLE(STORAGE_KEY("Float", TEXT("\13", "../data.pkl"), "K\6")), "does not describe a storage"),
        CASE(PICKLE("N\205Q"), "does not describe a storage"),
        CASE(PICKLE("]q\0h\0a"), "holds itself"),
        CASE(PICKLE("]q\0](h\0eah\0K\1a"), "holds itself"),
        CASE(PICKLE("]q\0\205h\0K\1a"), "changed after"),
        CASE(PICKLE("}q\0K\1h\0s"), "holds itself"),
        CASE(PICKLE("}(K\1NK\1Nu"), "key 1 occurs twice"),
        CASE(PICKLE("}(NNu"), "neither text nor"),
        CASE(PICKLE("}(Nu"), "has no value"),
        CASE(PICKLE("NNs"), "too few values"),
        CASE(PICKLE("NNa"), "no list"),
        CASE(PICKLE("]}b"), "no dictionary"),
        CASE(PICKLE("Nt"), "no mark"),
        CASE(PICKLE("0"), "too few values"),
        CASE(PICKLE("(\205"), "too few values"),
        CASE(PICKLE("N("), "does not end with one value"),
        CASE(PICKLE("h\0"), "under that number"),
        CASE(PICKLE("Nr\377\377\377\377"), "hole"),
        CASE(PICKLE("\212\11\0\0\0\0\0\0\0\0\1"), "64 bits"),
        CASE(PICKLE("\214\1\0"), "zero byte"),
        CASE(PICKLE("\215\377\377\377\377\377\377\377\377"), "ends inside"),
        CASE(PICKLE("T\377\377\377\377x"), "ends inside"),
        CASE(PICKLE("\225\377\377\377\377\377\377\377\377N"), "frame"),
        CASE(PICKLE("i"), "instruction 0x69"),
        CASE(PICKLE("\202\1"), "instruction 0x82"),
        CASE(PICKLE("N.."), "follows"),
        CASE("\200\6N.", "protocol"),
        CASE("N.", "no pickle"),
        CASE("", "no pickle"),
    };
#undef CASE
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_checkpoint(cases[i].pickle, cases[i].n_bytes, SIX, sizeof SIX);
        assert_refused(cases[i].reason);
    }
}

// PROTO, then `unit` n times, then `closing` n_closings times, then STOP
static void write_repeated(const char *unit, size_t n_unit, int n, char closing, int n_closings)
{
    size_t n_bytes = 2 + n_unit * (size_t)n + (size_t)n_closings + 1;
    char *pickle = mem_alloc(n_bytes, 1), *at = pickle + 2;
    memcpy(pickle, PROTO, 2);
    for (int i = 0; i < n; i++, at += n_unit)
        memcpy(at, unit, n_unit);
    memset(at, closing, (size_t)n_closings);
    pickle[n_bytes - 1] = '.';
    write_checkpoint(pickle, n_bytes, SIX, sizeof SIX);
    mem_free(pickle);
}

static void test_bombs(void **state)
{
    (void)state;
    write_repeated("]", 1, 201, 'a', 200);
    assert_refused("nested deeper than 200");
    write_repeated("]", 1, 200, 'a', 199);
    torch_close(open_sound());
    write_repeated(")", 1, 1000000, '\205', 1000000);
    assert_refused("nested deeper than 200");
    write_repeated("N", 1, (1 << 20) + 1, '0', 1 << 20);
    assert_refused("more than 1048576 values");
    // Each list holds the one before it four times; 40 of them would be 4^40 values.
    char pickle[1024] = PROTO "N";
    size_t n_bytes = 3;
    for (int i = 0; i < 40; i++, n_bytes += 12)
        memcpy(pickle + n_bytes, "q\0(h\0h\0h\0h\0l", 12);
    pickle[n_bytes++] = '.';
    write_checkpoint(pickle, n_bytes, SIX, sizeof SIX);
    assert_refused("unfolds to more than");
}

static void test_archives(void **state)
{
    (void)state;
    static const char pickle[] = PICKLE(FLOATS("K\0K\6\205K\1\205"));
    const Member text = {"x/data.pkl", pickle, sizeof pickle - 1, false},
                 data = {"x/data/0", SIX, sizeof SIX, false};
    Member packed_text = text, packed_data = data, other = text;
    packed_text.compressed = packed_data.compressed = true;
    packed_data.data = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"; // libzip stores what does not shrink
    other.name = "y/data.pkl";
    write_zip((Member[]){text, data, {"x/byteorder", "little", 6, false}}, 3);
    torch_close(open_sound());
    write_zip((Member[]){text, data, {"x/byteorder", "big", 3, false}}, 3);
    assert_refused("big-endian");
    write_zip((Member[]){packed_text, data}, 2);
    assert_refused("member data.pkl is compressed");
    write_zip((Member[]){text, packed_data}, 2);
    assert_refused("member data/0 is compressed");
    write_zip((Member[]){text, data, other}, 3);
    assert_refused("two data.pkl");
    write_zip((Member[]){data}, 1);
    assert_refused("without a data.pkl");
    write_zip((Member[]){text}, 1);
    assert_refused("storage data/0 is missing");
    scratch_write(path, pickle, sizeof pickle - 1);
    assert_refused("is not a zip archive; load and save it once with PyTorch 1.6 or newer");
    scratch_write(path, "", 0);
    assert_refused("is empty");
    unlink(path);
    assert_refused("cannot open");
}

// The index-th entry of the archive's directory.
static char *directory_entry(char *bytes, size_t n_bytes, int index)
{
    char *entry = memmem(bytes, n_bytes, "PK\1\2", 4);
    while (index-- > 0 && entry)
        entry = memmem(entry + 1, n_bytes - (size_t)(entry + 1 - bytes), "PK\1\2", 4);
    assert_non_null(entry);
    return entry;
}

// Two members, one place: a directory may name the same bytes as often as it likes.
static void test_overlapping_members(void **state)
{
    (void)state;
    static const char pickle[] = PICKLE("](" TENSOR(STORAGE("Float", "K\1"), "K\0))") TENSOR(
        STORAGE_KEY("Float", TEXT("\1", "1"), "K\1"), "K\0))") "e");
    static const float large[1000] = {1};
    write_zip((Member[]){{"x/data.pkl", pickle, sizeof pickle - 1, false},
                         {"x/data/0", large, sizeof large, false},
                         {"x/data/1", SIX, sizeof SIX, false}},
              3);
    torch_close(open_sound());
    char *whole;
    size_t n_bytes;
    Error error = {0};
    assert_int_equal(file_read(path, &whole, &n_bytes, &error), 0);
    char *first = directory_entry(whole, n_bytes, 1), *second = directory_entry(whole, n_bytes, 2);
    if (!first || !second) {
        fail_msg("the archive has no directory");
        return;
    }
    memcpy(second + 16, first + 16, 12); // checksum and both sizes
    memcpy(second + 42, first + 42, 4);  // place
    scratch_write(path, whole, n_bytes);
    mem_free(whole);
    assert_refused("member data/1 is longer than the file has room for");
}

static void refused_or_unchanged(const char *damaged, void *context, const char *what)
{
    int *n_refused = context;
    Error error = {0};
    TorchFile *file = torch_open(damaged, &error);
    if (file && !is_example(torch_root(file)))
        fail_msg("accepted and changed with %s", what);
    if (!file && !strstr(error.text, damaged))
        fail_msg("the message does not name the file with %s: %s", what, error.text);
    *n_refused += !file;
    torch_close(file);
}

static void test_damaged_archives(void **state)
{
    (void)state;
    publish_example();
    Error error = {0};
    char *whole;
    size_t n_bytes;
    int n_flips = 0, n_cuts = 0;
    assert_int_equal(file_read(path, &whole, &n_bytes, &error), 0);
    damage_each_bit(path, whole, n_bytes, 0, 1, refused_or_unchanged, &n_flips);
    damage_each_cut(path, whole, n_bytes, 1, refused_or_unchanged, &n_cuts);
    mem_free(whole);
    assert_int_equal(n_cuts, n_bytes);
    assert_true((size_t)n_flips > 8 * n_bytes / 3); // dates and attributes may change, content may not
}

// A sound archive around a damaged pickle: whatever it is taken for, reading it ends.
static void test_damaged_pickles(void **state)
{
    (void)state;
    static const char whole[] =
        PICKLE("}q\0(\214\1a" FLOATS("K\0K\3K\2\206K\1K\3\206") "q\1\214\1b](K\1h\1\210eu");
    char pickle[sizeof whole - 1];
    for (size_t bit = 0; bit < 8 * sizeof pickle; bit++) {
        memcpy(pickle, whole, sizeof pickle);
        pickle[bit / 8] = (char)(pickle[bit / 8] ^ 1 << bit % 8);
        write_checkpoint(pickle, sizeof pickle, SIX, sizeof SIX);
        Error error = {0};
        TorchFile *file = torch_open(path, &error);
        assert_true((file == NULL) == (error.text[0] != '\0'));
        torch_close(file);
    }
    for (size_t n_bytes = 0; n_bytes < sizeof pickle; n_bytes++) {
        write_checkpoint(whole, n_bytes, SIX, sizeof SIX);
        assert_refused("data.pkl byte");
    }
    write_checkpoint(whole, sizeof pickle, SIX, sizeof SIX);
    torch_close(open_sound());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_published_twice_is_the_same),
        cmocka_unit_test(test_publish_refuses),
        cmocka_unit_test(test_plain_values),
        cmocka_unit_test(test_element_types),
        cmocka_unit_test(test_infinite_halves),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_shared_storage),
        cmocka_unit_test(test_hostile_pickles),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_archives),
        cmocka_unit_test(test_overlapping_members),
        cmocka_unit_test(test_damaged_archives),
        cmocka_unit_test(test_damaged_pickles),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
