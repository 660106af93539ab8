#include "train/plan.h"

#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "tensor/gemm.h"

static const int64_t OF_PART[PLAN_BATCHES] = {2, 4}; // utterances

int64_t plan_parts(int64_t parts)
{
    return parts > 1 ? 2 : 1;
}

int64_t plan_batch(int i, int64_t parts)
{
    return OF_PART[i] * plan_parts(parts);
}

static float *noise_crops(const BatchOptions *options, const CropGroup *group)
{
    int64_t n = group->n_views * options->batch_size * input_floats(crop_shape(options->input, group));
    float *crops = mem_alloc((size_t)n, sizeof(float));
    Rng rng = rng_stream(options->seed, "plan", 0, 0);
    for (int64_t i = 0; i < n; i++)
        crops[i] = 0.1f * (float)rng_normal(&rng);
    return crops;
}

// The last step: nothing is held still any more. Taken twice: at first memory is new.
static int take_last_step(TrainLoop *loop, const Batch *batch, StepCost *cost, Error *error)
{
    for (int i = 0; i < 2; i++) {
        StepReport report = {0};
        double start = clock_seconds(), before = gemm_flop_count();
        if (loop->step(loop->trainer, batch, &report, error) < 0)
            return -1;
        *cost = (StepCost){.flop = gemm_flop_count() - before,
                           .seconds = clock_seconds() - start,
                           .arena_bytes = (double)report.arena_bytes,
                           .part_bytes = (double)report.part_bytes};
    }
    return 0;
}

int plan_measure(TrainLoop *loop, StepCost *cost, Error *error)
{
    const BatchOptions *options = &loop->batches;
    Batch batch = {.step = loop->n_steps - 1, .utts = mem_zero((size_t)options->batch_size, sizeof(int64_t))};
    batch.positives = batch.utts;
    for (int g = 0; g < options->n_groups; g++)
        batch.inputs[g] = noise_crops(options, &options->groups[g]);
    int status = take_last_step(loop, &batch, cost, error);
    for (int g = 0; g < options->n_groups; g++)
        mem_free(batch.inputs[g]);
    mem_free(batch.utts);
    return status;
}

// The line through two measurements with a part of OF_PART utterances, at `n` utterances of a part.
static double scaled(double first, double second, double n)
{
    double slope = (second - first) / (double)(OF_PART[1] - OF_PART[0]);
    return first + slope * (n - (double)OF_PART[0]);
}

static void print_time(double flop, double flop_per_second, int64_t batch_size)
{
    double hours = flop / flop_per_second / 3600;
    bool days = hours >= 48;
    log_info("plan: time on this machine, at the %.0f GFLOP/s that %lld utterances a step reach: %.3g %s",
             flop_per_second / 1e9, (long long)batch_size, days ? hours / 24 : hours,
             days ? "days" : "hours");
}

void plan_print(const TrainLoop *loop, int64_t batch_size, int64_t parts, const StepCost *costs)
{
    const StepCost *first = &costs[0], *second = &costs[PLAN_BATCHES - 1];
    double alike = (double)batch_size / (double)plan_parts(parts); // a part, in as many as measured
    char total[32], arena[32], rest[32], disk[32];
    double n_values = (double)loop->state[0].n, state_bytes = 0;
    for (int64_t i = 0; i < loop->n_state; i++)
        state_bytes += (double)loop->state[i].n * sizeof(float);
    double flop = scaled(first->flop, second->flop, alike);
    double arena_bytes = scaled(first->arena_bytes, second->arena_bytes, alike) +
                         scaled(first->part_bytes, second->part_bytes, (double)batch_size / (double)parts);
    double fixed_bytes = state_bytes + n_values * sizeof(float); // the gradients are in no checkpoint
    log_info("plan: %.1f M parameters; a checkpoint takes %s of disk", n_values / 1e6,
             log_bytes(disk, state_bytes));
    log_info("plan: %.3g FLOP a step, %.3g in all (matrix products)", flop, flop * (double)loop->n_steps);
    log_info("plan: memory %s: %s for activations, %s for weights, gradients and optimiser",
             log_bytes(total, arena_bytes + fixed_bytes), log_bytes(arena, arena_bytes),
             log_bytes(rest, fixed_bytes));
    print_time(flop * (double)loop->n_steps, second->flop / second->seconds,
               plan_batch(PLAN_BATCHES - 1, parts));
}
