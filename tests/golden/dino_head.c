// The DINO head against sslsv's: logits in both modes, running statistics, and all gradients. Every case of
// the file whose configuration has a projector switch is one.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/memory.h"
#include "golden.h"
#include "models/dino_head.h"

typedef struct Fixture {
    Golden *golden;
    const char *name; // of the case
    Parameters parameters;
    DinoHead *head;
    Tape *tape;
} Fixture;

// What the file calls <kind>.<case>.<item>, as a new string.
static char *case_name(const Fixture *fixture, const char *kind, const char *item)
{
    return mem_printf("%s.%s%s%s", kind, fixture->name, *item ? "." : "", item);
}

static const SafeTensor *case_tensor(const Fixture *fixture, const char *kind, const char *item)
{
    char *name = case_name(fixture, kind, item);
    const SafeTensor *tensor = golden_tensor(fixture->golden, name);
    mem_free(name);
    return tensor;
}

static void check(const Fixture *fixture, const char *kind, const char *item, const float *actual, int64_t n)
{
    char *name = case_name(fixture, kind, item), *group = case_name(fixture, kind, "");
    golden_check(fixture->golden, name, actual, n, golden_tolerance(fixture->golden, group),
                 golden_scale_floor(fixture->golden, group));
    mem_free(name);
    mem_free(group);
}

static void load(Fixture *fixture)
{
    for (int64_t i = 0; i < fixture->parameters.n_items; i++) {
        Parameter *item = fixture->parameters.items[i];
        const SafeTensor *source = case_tensor(fixture, item->is_buffer ? "buffer" : "param", item->name);
        assert_int_equal(source->n_elements, tensor_size(&item->tensor));
        memcpy(item->tensor.data, source->data, (size_t)source->n_elements * sizeof(float));
    }
}

static Tensor *forward(Fixture *fixture, TapeMode mode, bool training, Tensor **input)
{
    const SafeTensor *x = case_tensor(fixture, "in", "x");
    tape_begin(fixture->tape, mode);
    *input = tape_input(fixture->tape, 2, x->dim, x->data);
    (*input)->needs_grad = true;
    return dino_head_forward(fixture->head, fixture->tape, *input, training);
}

static void check_gradients(Fixture *fixture, const Tensor *input)
{
    check(fixture, "grad", "x", input->grad, tensor_size(input));
    for (int64_t i = 0; i < fixture->parameters.n_items; i++) {
        const Parameter *item = fixture->parameters.items[i];
        if (item->trainable)
            check(fixture, "grad", item->name, item->tensor.grad, tensor_size(&item->tensor));
        else if (item->is_buffer) {
            char *name = mem_printf("buffer.%s", item->name);
            check(fixture, "out", name, item->tensor.data, tensor_size(&item->tensor));
            mem_free(name);
        }
    }
}

static void run_case(Golden *golden, const cJSON *config)
{
    DinoHeadConfig sizes = {.input_dim = (int64_t)golden_number(config, "input_dim"),
                            .hidden_dim = (int64_t)golden_number(config, "hidden_dim"),
                            .bottleneck_dim = (int64_t)golden_number(config, "bottleneck_dim"),
                            .n_prototypes = (int64_t)golden_number(config, "output_dim"),
                            .without_projector = golden_number(config, "enable_projector") == 0};
    golden_known(config, "reference", "batch", "structure", NULL);
    golden_fixed_text(config, "loss", "sum(out * in.r)");
    Fixture fixture = {.golden = golden, .name = config->string, .tape = tape_create()};
    Error error = {0};
    Tensor *input;
    parameters_init(&fixture.parameters);
    fixture.head = dino_head_create(&sizes, scope_of(&fixture.parameters, ""));
    assert_int_equal(parameters_allocate(&fixture.parameters, 1, true, &error), 0);
    load(&fixture);

    Tensor *logits = forward(&fixture, TAPE_NO_GRAD, false, &input);
    check(&fixture, "out", "eval", logits->data, tensor_size(logits));
    logits = forward(&fixture, TAPE_RECORD, true, &input);
    check(&fixture, "out", "train", logits->data, tensor_size(logits));
    tape_backward_from(fixture.tape, logits, case_tensor(&fixture, "in", "r")->data);
    check_gradients(&fixture, input);

    dino_head_destroy(fixture.head);
    parameters_release(&fixture.parameters);
    tape_destroy(fixture.tape);
}

static void test_heads(void **state)
{
    (void)state;
    Golden *golden = golden_open("losses.safetensors");
    int n_cases = 0;
    const cJSON *config;
    cJSON_ArrayForEach(config, cJSON_GetObjectItemCaseSensitive(golden_config(golden), "cases"))
    {
        if (!cJSON_HasObjectItem(config, "enable_projector"))
            continue;
        run_case(golden, config);
        n_cases++;
    }
    assert_true(n_cases > 0);
    golden_close(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_heads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
