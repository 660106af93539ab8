// B batch, I input, H hidden, D bottleneck, K prototypes.
#include "models/dino_head.h"

#include <math.h>

#include "base/memory.h"
#include "nn/layers.h"

enum { N_LINEAR = 3, N_NORMS = N_LINEAR - 1, MODULES_PER_LAYER = 3 }; // linear, batch norm, GELU
static const float INIT_STD = 0.02f, L2_EPSILON = 1e-12f;

struct DinoHead {
    DinoHeadConfig config;
    Affine linear[N_LINEAR];
    BatchNormLayer norm[N_NORMS];
    Parameter *gain, *prototypes; // [K, 1], [K, D]
};

static void declare_projector(DinoHead *head, const Scope *scope)
{
    const DinoHeadConfig *c = &head->config;
    const int64_t widths[N_LINEAR + 1] = {c->input_dim, c->hidden_dim, c->hidden_dim, c->bottleneck_dim};
    for (int i = 0; i < N_LINEAR; i++) {
        int module = MODULES_PER_LAYER * i;
        int64_t out = widths[i + 1];
        head->linear[i] =
            affine_declare_drawn(scope_enter(scope, "mlp.%d", module), 2, (int64_t[]){out, widths[i]}, true,
                                 (Init){INIT_TRUNCATED_NORMAL, INIT_STD});
        if (i < N_NORMS)
            head->norm[i] = batch_norm_declare(scope_enter(scope, "mlp.%d", module + 1), out);
    }
}

DinoHead *dino_head_create(const DinoHeadConfig *config, Scope scope)
{
    DinoHead *head = mem_zero(1, sizeof *head);
    head->config = *config;
    if (!config->without_projector)
        declare_projector(head, &scope);
    int64_t width = config->without_projector ? config->input_dim : config->bottleneck_dim;
    int64_t n_prototypes = config->n_prototypes;
    head->gain =
        scope_parameter(&scope, "last_layer.weight_g", 2, (int64_t[]){n_prototypes, 1}, (Init){INIT_ONE, 0});
    head->gain->trainable = head->gain->decay = false;
    // PyTorch's default for a linear layer; only the directions matter, but the length sets how fast they
    // turn.
    head->prototypes = scope_parameter(&scope, "last_layer.weight_v", 2, (int64_t[]){n_prototypes, width},
                                       (Init){INIT_UNIFORM, 1.0f / sqrtf((float)width)});
    return head;
}

void dino_head_destroy(DinoHead *head)
{
    mem_free(head);
}

static Tensor *project(DinoHead *head, Tape *tape, Tensor *x, bool training)
{
    for (int i = 0; i < N_LINEAR; i++) {
        x = affine_linear(tape, x, &head->linear[i]);
        if (i < N_NORMS)
            x = op_gelu(tape, batch_norm_apply(tape, x, &head->norm[i], training, false));
    }
    return x;
}

Tensor *dino_head_forward(DinoHead *head, Tape *tape, Tensor *x, bool training)
{
    TapeMark mark = tape_mark(tape);
    if (!head->config.without_projector)
        x = project(head, tape, x, training);
    x = op_l2_normalize(tape, x, L2_EPSILON);
    Tensor *weight = op_weight_norm(tape, &head->prototypes->tensor, &head->gain->tensor, 0);
    return tape_release(tape, mark, op_linear(tape, x, weight, NULL));
}
