// B batch, I input, H hidden, D bottleneck, K prototypes.
#include "models/dino_head.h"

#include <math.h>

#include "base/memory.h"
#include "tensor/ops.h"

enum { N_LINEAR = 3, N_NORMS = N_LINEAR - 1, MODULES_PER_LAYER = 3 }; // linear, batch norm, GELU
static const float INIT_STD = 0.02f, BN_MOMENTUM = 0.1f, BN_EPSILON = 1e-5f, L2_EPSILON = 1e-12f;

typedef struct Layer {
    Parameter *weight, *bias;
} Layer;

typedef struct Norm {
    Parameter *weight, *bias, *running_mean, *running_variance;
} Norm;

struct DinoHead {
    DinoHeadConfig config;
    Layer linear[N_LINEAR];
    Norm norm[N_NORMS];
    Parameter *gain, *prototypes; // [K, 1], [K, D]
};

static void declare_projector(DinoHead *head, const char *prefix, Parameters *parameters)
{
    const DinoHeadConfig *c = &head->config;
    const int64_t widths[N_LINEAR + 1] = {c->input_dim, c->hidden_dim, c->hidden_dim, c->bottleneck_dim};
    const Init zero = {INIT_ZERO, 0}, one = {INIT_ONE, 0};
    for (int i = 0; i < N_LINEAR; i++) {
        int module = MODULES_PER_LAYER * i;
        int64_t out = widths[i + 1];
        head->linear[i] = (Layer){parameters_add(parameters, 2, (int64_t[]){out, widths[i]},
                                                 (Init){INIT_TRUNCATED_NORMAL, INIT_STD}, "%smlp.%d.weight",
                                                 prefix, module),
                                  parameters_add(parameters, 1, &out, zero, "%smlp.%d.bias", prefix, module)};
        if (i == N_NORMS)
            break;
        module++;
        head->norm[i] =
            (Norm){parameters_add(parameters, 1, &out, one, "%smlp.%d.weight", prefix, module),
                   parameters_add(parameters, 1, &out, zero, "%smlp.%d.bias", prefix, module),
                   parameters_add_buffer(parameters, out, zero, "%smlp.%d.running_mean", prefix, module),
                   parameters_add_buffer(parameters, out, one, "%smlp.%d.running_var", prefix, module)};
    }
}

DinoHead *dino_head_create(const DinoHeadConfig *config, const char *prefix, Parameters *parameters)
{
    DinoHead *head = mem_zero(1, sizeof *head);
    head->config = *config;
    if (!config->without_projector)
        declare_projector(head, prefix, parameters);
    int64_t width = config->without_projector ? config->input_dim : config->bottleneck_dim;
    int64_t n_prototypes = config->n_prototypes;
    head->gain = parameters_add(parameters, 2, (int64_t[]){n_prototypes, 1}, (Init){INIT_ONE, 0},
                                "%slast_layer.weight_g", prefix);
    head->gain->trainable = head->gain->decay = false;
    // PyTorch's default for a linear layer; only the directions matter, but the length sets how fast they
    // turn.
    head->prototypes =
        parameters_add(parameters, 2, (int64_t[]){n_prototypes, width},
                       (Init){INIT_UNIFORM, 1.0f / sqrtf((float)width)}, "%slast_layer.weight_v", prefix);
    return head;
}

void dino_head_destroy(DinoHead *head)
{
    mem_free(head);
}

static Tensor *batch_norm(Tape *tape, Tensor *x, const Norm *norm, bool training)
{
    BatchNorm batch = {&norm->weight->tensor,
                       &norm->bias->tensor,
                       norm->running_mean->tensor.data,
                       norm->running_variance->tensor.data,
                       BN_MOMENTUM,
                       BN_EPSILON};
    return op_batch_norm(tape, x, &batch, training, false);
}

static Tensor *project(DinoHead *head, Tape *tape, Tensor *x, bool training)
{
    for (int i = 0; i < N_LINEAR; i++) {
        x = op_linear(tape, x, &head->linear[i].weight->tensor, &head->linear[i].bias->tensor);
        if (i < N_NORMS)
            x = op_gelu(tape, batch_norm(tape, x, &head->norm[i], training));
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
