// MHFA alone on random hidden states, against the reference recipe.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/memory.h"
#include "golden_model.h"
#include "models/mhfa.h"

// The file's layout is [B, dim, T, layers]; ours is one [B, T, dim] per layer.
typedef struct Layout {
    int64_t batch, dim, frames, layers;
} Layout;

static int64_t file_index(const Layout *layout, int64_t i, int64_t layer) // i: into [B, T, dim]
{
    int64_t b = i / (layout->frames * layout->dim), t = i / layout->dim % layout->frames, c = i % layout->dim;
    return ((b * layout->dim + c) * layout->frames + t) * layout->layers + layer;
}

static void read_hidden(const Golden *golden, Tape *tape, const Layout *layout, Tensor **hidden)
{
    const float *x = golden_float(golden, "in.x");
    for (int64_t l = 0; l < layout->layers; l++) {
        hidden[l] = tape_tensor(tape, 3, (int64_t[]){layout->batch, layout->frames, layout->dim});
        hidden[l]->needs_grad = true;
        for (int64_t i = 0; i < tensor_size(hidden[l]); i++)
            hidden[l]->data[i] = x[file_index(layout, i, l)];
    }
}

static void check_input_gradient(const Golden *golden, const Layout *layout, Tensor *const *hidden)
{
    int64_t per_layer = tensor_size(hidden[0]), n = per_layer * layout->layers;
    float *gathered = mem_alloc((size_t)n, sizeof *gathered);
    for (int64_t l = 0; l < layout->layers; l++)
        for (int64_t i = 0; i < per_layer; i++)
            gathered[file_index(layout, i, l)] = hidden[l]->grad[i];
    golden_check_group(golden, "grad.in.x", gathered, n);
    mem_free(gathered);
}

static void test_head(void **state)
{
    (void)state;
    Golden *golden = golden_open("wavlm_mhfa_head.safetensors");
    const cJSON *config = golden_config(golden);
    golden_known(config, "batch", "inputs_dim", "frames", "layer_weights", NULL);
    golden_fixed_text(config, "loss", "sum(embedding * in.r)");
    const SafeTensor *x = golden_tensor(golden, "in.x");
    Layout layout = {x->dim[0], x->dim[1], x->dim[2], x->dim[3]};
    MhfaConfig sizes = {.head_nb = (int64_t)golden_number(config, "head_nb"),
                        .compression_dim = (int64_t)golden_number(config, "compression_dim"),
                        .outputs_dim = (int64_t)golden_number(config, "outputs_dim")};
    Error error = {0};
    Parameters parameters;
    parameters_init(&parameters);
    Mhfa *mhfa = mhfa_create(&sizes, layout.layers, layout.dim, scope_of(&parameters, ""));
    assert_int_equal(parameters_allocate(&parameters, 1, true, &error), 0);
    golden_load_parameters(golden, &parameters, "");
    parameters_zero_grads(&parameters);

    Tape *tape = tape_create();
    Tensor *hidden[NODE_MAX_INPUTS];
    tape_begin(tape, TAPE_RECORD);
    read_hidden(golden, tape, &layout, hidden);
    Tensor *embedding = mhfa_forward(mhfa, tape, hidden);
    golden_check_group(golden, "out.emb", embedding->data, tensor_size(embedding));
    tape_backward_from(tape, embedding, golden_float(golden, "in.r"));
    assert_int_equal(golden_check_parameter_gradients(golden, &parameters, "", "", "grad"), 10);
    check_input_gradient(golden, &layout, hidden);

    tape_destroy(tape);
    mhfa_destroy(mhfa);
    parameters_release(&parameters);
    golden_close(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_head)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
