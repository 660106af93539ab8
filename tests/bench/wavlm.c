// WavLM Base+ with MHFA on 4 x 3 s of audio: extraction, and a step of fine-tuning with the convolutions
// frozen (AAM-softmax over 5 000 pseudo-speakers, AdamW).
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/process.h"
#include "base/rng.h"
#include "base/threads.h"
#include "bench.h"
#include "losses/aam_softmax.h"
#include "models/encoder.h"
#include "tensor/ops.h"
#include "train/optimizer.h"

enum { BATCH = 4, N_SAMPLES = 48000, N_CLASSES = 5000 };

typedef struct Model {
    Parameters parameters;
    Encoder *encoder;
    Parameter *classes;
    Optimizer optimizer;
    Tape *tape;
    float *audio; // [BATCH, N_SAMPLES]
} Model;

static void stop_on(bool failed, const Error *error)
{
    if (!failed)
        return;
    fprintf(stderr, "bench_wavlm: %s\n", error->text);
    exit(1);
}

static void model_init(Model *model)
{
    Error error = {0};
    cJSON *architecture = cJSON_Parse("{\"encoder\": \"wavlm\"}"); // the defaults are Base+
    *model = (Model){.tape = tape_create(), .audio = mem_alloc(BATCH * N_SAMPLES, sizeof(float))};
    parameters_init(&model->parameters);
    stop_on(!(model->encoder = encoder_create(architecture, &model->parameters, &error)), &error);
    cJSON_Delete(architecture);
    model->classes =
        parameters_add(&model->parameters, 2, (int64_t[]){N_CLASSES, model->encoder->embedding_dim},
                       (Init){INIT_NORMAL, 0.1f}, "classes");
    stop_on(parameters_allocate(&model->parameters, 1, true, &error) < 0, &error);
    parameters_freeze(&model->parameters, "model.feature_extractor.");
    OptimizerOptions options = optimizer_defaults(OPTIMIZER_ADAMW);
    stop_on(optimizer_init(&model->optimizer, &options, &model->parameters, &error) < 0, &error);
    Rng rng = rng_stream(1, "bench wavlm", 0, 0);
    for (int i = 0; i < BATCH * N_SAMPLES; i++)
        model->audio[i] = (float)(0.1 * rng_normal(&rng));
}

static void model_release(Model *model)
{
    optimizer_release(&model->optimizer);
    tape_destroy(model->tape);
    encoder_destroy(model->encoder);
    parameters_release(&model->parameters);
    mem_free(model->audio);
}

static Tensor *embed(Model *model, bool training)
{
    Tensor *input = tape_input(model->tape, 2, (int64_t[]){BATCH, N_SAMPLES}, model->audio);
    const ForwardMode mode = {.training = training, .rng = rng_stream(1, "bench dropout", 0, 0)};
    return encoder_forward(model->encoder, model->tape, input, &mode);
}

static void extraction(void *context)
{
    Model *model = context;
    tape_begin(model->tape, TAPE_NO_GRAD);
    embed(model, false);
}

static void fine_tuning(void *context)
{
    Model *model = context;
    static const int64_t labels[BATCH] = {0, 1, 2, 3};
    static const AamSoftmax options = {.margin = 0.2, .scale = 30};
    tape_begin(model->tape, TAPE_RECORD);
    Tensor *loss =
        aam_softmax_loss(model->tape, embed(model, true), &model->classes->tensor, labels, &options, NULL);
    parameters_zero_grads(&model->parameters);
    tape_backward(model->tape, loss);
    gradients_clip_global(&model->parameters, 1);
    optimizer_step(&model->optimizer, 1e-5);
}

int main(int argc, char **argv)
{
    (void)argc;
    process_settle(argv);
    Model model;
    threads_set(0);
    model_init(&model);
    double seconds = bench_run("WavLM Base+ and MHFA, extraction, 4 x 3 s", 3, extraction, &model);
    printf("  %.1f s of audio per second\n", BATCH * N_SAMPLES / 16000.0 / seconds);
    seconds = bench_run("WavLM Base+ and MHFA, fine-tuning step, 4 x 3 s", 3, fine_tuning, &model);
    printf("  %.1f s of audio per second\n", BATCH * N_SAMPLES / 16000.0 / seconds);
    model_release(&model);
    return 0;
}
