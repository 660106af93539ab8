// Checkpoints as PyTorch wrote them, against the same weights as safetensors.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "cache/torch_file.h"
#include "golden.h"

static TorchFile *open_golden(const char *name)
{
    char *path = golden_path(name);
    if (!path) {
        print_message("%s is not here; skipped\n", name);
        skip();
    }
    Error error = {0};
    TorchFile *file = torch_open(path, &error);
    mem_free(path);
    if (!file)
        fail_msg("%s", error.text);
    return file;
}

static void check_tensor(const SafeTensor *wanted, const TorchValue *found)
{
    if (!found || found->kind != TORCH_TENSOR || found->n_dims != wanted->n_dims ||
        memcmp(found->dim, wanted->dim, (size_t)wanted->n_dims * sizeof wanted->dim[0]) != 0 ||
        memcmp(found->data, wanted->data, (size_t)wanted->n_elements * sizeof(float)) != 0)
        fail_msg("%s is missing or differs", wanted->name);
}

static void check_twins(const char *torch_name, const char *safe_name)
{
    TorchFile *file = open_golden(torch_name);
    char *path = golden_path(safe_name);
    Error error = {0};
    SafeReader *reader = path ? safe_open(path, &error) : NULL;
    mem_free(path);
    assert_non_null(reader);
    assert_int_equal(torch_root(file)->n, safe_count(reader));
    for (int64_t i = 0; i < safe_count(reader); i++)
        if (!strstr(safe_at(reader, i)->name, ".parametrizations.weight.")) // the other has the older names
            check_tensor(safe_at(reader, i), torch_get(torch_root(file), safe_at(reader, i)->name));
    safe_close(reader);
    torch_close(file);
}

static void test_twins(void **state)
{
    (void)state;
    check_twins("import/hf_base/pytorch_model.bin", "import/hf_base/model.safetensors");
}

static int64_t count_tensors(const TorchValue *value)
{
    int64_t n = value->kind == TORCH_TENSOR;
    for (int64_t i = 0; i < value->n; i++)
        n += count_tensors(value->items[i]);
    return n;
}

static void test_others_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t n_tensors;
    } files[] = {{"import/microsoft_base.pt", 77},
                 {"import/microsoft_large.pt", 89},
                 {"import/wavlm_ssl_sv.pt", 88},
                 {"import/wespeaker_ecapa.pt", 222},
                 {"import/wespeaker_resnet34.pt", 219}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        TorchFile *file = open_golden(files[i].name);
        if (count_tensors(torch_root(file)) != files[i].n_tensors)
            fail_msg("%s has %d tensors", files[i].name, (int)count_tensors(torch_root(file)));
        torch_close(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_others_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
