// One DINO step, ECAPA-TDNN student and teacher, as the field runs it: batch 8, 2 crops of 300 and 4 of 200
// frames; forward, backward, clipping, SGD, moving average. 512 channels with 65 536 prototypes, 128 with
// 4 096.
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/process.h"
#include "base/rng.h"
#include "base/threads.h"
#include "bench.h"
#include "losses/dino.h"
#include "models/dino_head.h"
#include "models/encoder.h"
#include "tensor/ops.h"
#include "train/ema.h"
#include "train/optimizer.h"

enum { N_LONG = 2, N_SHORT = 4, LONG_FRAMES = 300, SHORT_FRAMES = 200, N_MELS = 80 };

typedef struct Sizes {
    int64_t channels, n_prototypes, batch;
} Sizes;

typedef struct Network {
    Parameters parameters;
    Encoder *encoder;
    DinoHead *head;
    Tape *tape;
} Network;

typedef struct Training {
    Sizes sizes;
    Network student, teacher;
    Optimizer optimizer;
    float *long_crops, *short_crops; // [crops * batch, frames, N_MELS]
    float *center;                   // [n_prototypes]
} Training;

static void give_up(const Error *error)
{
    fprintf(stderr, "bench_dino_step: %s\n", error->text);
    exit(1);
}

static void network_init(Network *network, const Sizes *sizes, bool with_grads)
{
    Error error = {0};
    char text[100];
    snprintf(text, sizeof text, "{\"encoder\": \"ecapa\", \"channels\": %lld}", (long long)sizes->channels);
    cJSON *architecture = cJSON_Parse(text);
    parameters_init(&network->parameters);
    network->encoder = encoder_create(architecture, &network->parameters, &error);
    cJSON_Delete(architecture);
    if (!network->encoder)
        give_up(&error);
    DinoHeadConfig head = {network->encoder->embedding_dim, 2048, 256, sizes->n_prototypes, false};
    network->head = dino_head_create(&head, scope_of(&network->parameters, "head."));
    if (parameters_allocate(&network->parameters, 1, with_grads, &error) < 0)
        give_up(&error);
    network->tape = tape_create();
}

static void network_release(Network *network)
{
    tape_destroy(network->tape);
    dino_head_destroy(network->head);
    encoder_destroy(network->encoder);
    parameters_release(&network->parameters);
}

static float *random_crops(int64_t n, uint64_t stream)
{
    float *crops = mem_alloc((size_t)n, sizeof *crops);
    Rng rng = rng_stream(1, "bench", stream, 0);
    for (int64_t i = 0; i < n; i++)
        crops[i] = (float)rng_normal(&rng);
    return crops;
}

static void training_init(Training *training, Sizes sizes)
{
    Error error = {0};
    *training = (Training){.sizes = sizes};
    network_init(&training->student, &sizes, true);
    network_init(&training->teacher, &sizes, false);
    ema_copy(&training->teacher.parameters, &training->student.parameters);
    OptimizerOptions options = optimizer_defaults(OPTIMIZER_SGD);
    options.momentum = 0.9;
    options.weight_decay = 5e-5;
    if (optimizer_init(&training->optimizer, &options, &training->student.parameters, &error) < 0)
        give_up(&error);
    training->long_crops = random_crops(N_LONG * sizes.batch * LONG_FRAMES * N_MELS, 0);
    training->short_crops = random_crops(N_SHORT * sizes.batch * SHORT_FRAMES * N_MELS, 1);
    training->center = mem_zero((size_t)sizes.n_prototypes, sizeof(float));
}

static void training_release(Training *training)
{
    mem_free(training->center);
    mem_free(training->short_crops);
    mem_free(training->long_crops);
    optimizer_release(&training->optimizer);
    network_release(&training->teacher);
    network_release(&training->student);
}

static Tensor *embed(Network *network, int64_t n_crops, int64_t n_frames, const float *crops)
{
    Tensor *input = tape_input(network->tape, 3, (int64_t[]){n_crops, n_frames, N_MELS}, crops);
    return encoder_forward(network->encoder, network->tape, input, &(ForwardMode){.training = true});
}

static Tensor *teach(Training *training)
{
    Network *teacher = &training->teacher;
    tape_begin(teacher->tape, TAPE_NO_GRAD);
    Tensor *x = embed(teacher, N_LONG * training->sizes.batch, LONG_FRAMES, training->long_crops);
    return dino_head_forward(teacher->head, teacher->tape, x, true);
}

static Tensor *learn(Training *training)
{
    Network *student = &training->student;
    int64_t batch = training->sizes.batch;
    tape_begin(student->tape, TAPE_RECORD);
    Tensor *embeddings[2] = {embed(student, N_LONG * batch, LONG_FRAMES, training->long_crops),
                             embed(student, N_SHORT * batch, SHORT_FRAMES, training->short_crops)};
    Tensor *x = op_concat_first(student->tape, embeddings, 2);
    return dino_head_forward(student->head, student->tape, x, true);
}

static void step(void *context)
{
    Training *training = context;
    static const DinoLoss options = {N_LONG, N_LONG + N_SHORT, 0.1, 0.04};
    Network *student = &training->student;
    Tensor *targets = teach(training), *logits = learn(training);
    Tensor *loss = dino_loss(student->tape, logits, targets, training->center, &options, NULL);
    parameters_zero_grads(&student->parameters);
    tape_backward(student->tape, loss);
    dino_center_update(training->center, targets, 0.9);
    gradients_clip_each(&student->parameters, 3);
    optimizer_step(&training->optimizer, 0.1);
    ema_update(&training->teacher.parameters, &student->parameters, 0.996);
}

static void bench(Sizes sizes, int n_runs)
{
    Training training;
    char name[100];
    training_init(&training, sizes);
    snprintf(name, sizeof name, "DINO step, ECAPA %lld, %lld x (2 x 3 s + 4 x 2 s), K %lld",
             (long long)sizes.channels, (long long)sizes.batch, (long long)sizes.n_prototypes);
    bench_run(name, n_runs, step, &training);
    training_release(&training);
}

int main(int argc, char **argv)
{
    (void)argc;
    process_settle(argv);
    threads_set(0);
    bench((Sizes){128, 4096, 8}, 5);
    bench((Sizes){512, 65536, 8}, 3);
    return 0;
}
