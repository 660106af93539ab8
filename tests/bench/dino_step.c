// One DINO step, ECAPA-TDNN student and teacher, as the field runs it: batch 8, 2 crops of 300 and 4 of 200
// frames, 65 536 prototypes. Prints seconds, GFLOP/s and the share of the SGEMM peak measured in the same
// run.
//
//     bench_dino_step [channels] [prototypes] [batch]
#include <stdio.h>
#include <stdlib.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/threads.h"
#include "losses/dino.h"
#include "models/dino_head.h"
#include "models/encoder.h"
#include "tensor/gemm.h"
#include "tensor/ops.h"
#include "train/ema.h"
#include "train/optimizer.h"

enum { N_LONG = 2, N_SHORT = 4, LONG_FRAMES = 300, SHORT_FRAMES = 200, N_MELS = 80, STEPS = 4 };

typedef struct Network {
    Parameters parameters;
    Encoder *encoder;
    DinoHead *head;
} Network;

static void network_init(Network *network, int64_t channels, int64_t n_prototypes, bool with_grads)
{
    Error error = {0};
    char text[100];
    snprintf(text, sizeof text, "{\"encoder\":\"ecapa\",\"channels\":%lld}", (long long)channels);
    cJSON *architecture = cJSON_Parse(text);
    parameters_init(&network->parameters);
    network->encoder = encoder_create(architecture, &network->parameters, &error);
    DinoHeadConfig head = {network->encoder->embedding_dim, 2048, 256, n_prototypes, false};
    network->head = dino_head_create(&head, "head.", &network->parameters);
    if (parameters_allocate(&network->parameters, 1, with_grads, &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    cJSON_Delete(architecture);
}

static void network_release(Network *network)
{
    dino_head_destroy(network->head);
    encoder_destroy(network->encoder);
    parameters_release(&network->parameters);
}

static Tensor *project(Network *network, Tape *tape, Tensor **crops, int n)
{
    ForwardMode mode = {.training = true};
    Tensor *embeddings[2];
    for (int i = 0; i < n; i++)
        embeddings[i] = encoder_forward(network->encoder, tape, crops[i], &mode);
    return dino_head_forward(network->head, tape,
                             n > 1 ? op_concat_first(tape, embeddings, n) : embeddings[0], true);
}

static double sgemm_peak(void)
{
    enum { N = 2048 };
    float *a = mem_zero((size_t)N * N, sizeof *a), *b = mem_zero((size_t)N * N, sizeof *b);
    float *c = mem_zero((size_t)N * N, sizeof *c);
    double best = 0;
    for (int i = 0; i < 8; i++) {
        double start = clock_seconds();
        gemm(false, false, N, N, N, 1, a, N, b, N, 0, c, N);
        double rate = 2.0 * N * N * N / (clock_seconds() - start);
        best = rate > best ? rate : best;
    }
    mem_free(a);
    mem_free(b);
    mem_free(c);
    return best;
}

int main(int argc, char **argv)
{
    int64_t channels = argc > 1 ? atoll(argv[1]) : 512, n_prototypes = argc > 2 ? atoll(argv[2]) : 65536;
    int64_t batch = argc > 3 ? atoll(argv[3]) : 8;
    Error error = {0};
    threads_set(0);
    Network student, teacher;
    network_init(&student, channels, n_prototypes, true);
    network_init(&teacher, channels, n_prototypes, false);
    ema_copy(&teacher.parameters, &student.parameters);
    Optimizer optimizer;
    OptimizerOptions options = optimizer_defaults(OPTIMIZER_SGD);
    options.momentum = 0.9;
    options.weight_decay = 5e-5;
    optimizer_init(&optimizer, &options, &student.parameters, &error);

    int64_t n_long = N_LONG * batch * LONG_FRAMES * N_MELS, n_short = N_SHORT * batch * SHORT_FRAMES * N_MELS;
    float *features = mem_alloc((size_t)(n_long + n_short), sizeof *features);
    float *center = mem_zero((size_t)n_prototypes, sizeof *center);
    Rng rng = rng_stream(1, "bench", 0, 0);
    for (int64_t i = 0; i < n_long + n_short; i++)
        features[i] = (float)rng_normal(&rng);
    Tape *tape = tape_create(), *teacher_tape = tape_create();
    DinoLoss loss_options = {N_LONG, N_LONG + N_SHORT, 0.1, 0.04};

    double peak = sgemm_peak(), best = 1e30, flop = 0;
    for (int step = 0; step < STEPS; step++) {
        double start = clock_seconds(), before = gemm_flop_count();
        tape_begin(teacher_tape, TAPE_NO_GRAD);
        Tensor *view =
            tape_input(teacher_tape, 3, (int64_t[]){N_LONG * batch, LONG_FRAMES, N_MELS}, features);
        Tensor *targets = project(&teacher, teacher_tape, &view, 1);
        tape_begin(tape, TAPE_RECORD);
        Tensor *crops[2] = {
            tape_input(tape, 3, (int64_t[]){N_LONG * batch, LONG_FRAMES, N_MELS}, features),
            tape_input(tape, 3, (int64_t[]){N_SHORT * batch, SHORT_FRAMES, N_MELS}, features + n_long)};
        Tensor *logits = project(&student, tape, crops, 2);
        Tensor *loss = dino_loss(tape, logits, targets, center, &loss_options, NULL);
        parameters_zero_grads(&student.parameters);
        tape_backward(tape, loss);
        dino_center_update(center, targets, 0.9);
        gradients_clip_each(&student.parameters, 3);
        optimizer_step(&optimizer, 0.1);
        ema_update(&teacher.parameters, &student.parameters, 0.996);
        double seconds = clock_seconds() - start;
        flop = gemm_flop_count() - before;
        best = seconds < best ? seconds : best;
        printf("dino step %d: %.2f s, loss %.4f\n", step, seconds, loss->data[0]);
    }
    printf(
        "dino step, ECAPA %lld, batch %lld, %lld prototypes: %.2f s, %.0f GFLOP/s, %.0f %% of the SGEMM peak "
        "(%.0f GFLOP/s), tape %.0f MiB, %s\n",
        (long long)channels, (long long)batch, (long long)n_prototypes, best, flop / best / 1e9,
        100 * flop / best / peak, peak / 1e9, (double)tape_peak_bytes(tape) / 1048576, threads_describe());

    tape_destroy(tape);
    tape_destroy(teacher_tape);
    mem_free(center);
    mem_free(features);
    optimizer_release(&optimizer);
    network_release(&student);
    network_release(&teacher);
    return 0;
}
