#include "train/train_loop.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"

enum { NAMED_UTTERANCES = 5 };

// --- the log

typedef struct TrainLog {
    FILE *file;
    StepReport sum; // of the steps since the last line
    int64_t n;
    double start_seconds, start_waited;
} TrainLog;

static int log_file_open(const TrainLoop *loop, bool resumed, TrainLog *log, Error *error)
{
    char *folder = path_folder(loop->model_path), *name = mem_printf("%s/%s.log", folder, loop->stage);
    int status = folder_create(folder, error);
    log->file = status == 0 ? fopen(name, resumed ? "ae" : "we") : NULL;
    if (status == 0 && !log->file)
        status = error_set_errno(error, "cannot write %s", name);
    log->start_seconds = clock_seconds();
    mem_free(name);
    mem_free(folder);
    return status;
}

static void log_add(TrainLog *log, const StepReport *report)
{
    log->sum.loss += report->loss;
    log->sum.gradient_norm += report->gradient_norm;
    for (int d = 0; d < TRAIN_DETAILS && report->details[d].name; d++) {
        log->sum.details[d].name = report->details[d].name;
        log->sum.details[d].value += report->details[d].value;
    }
    log->sum.learning_rate = report->learning_rate;
    log->n++;
}

static void log_line(const TrainLoop *loop, TrainLog *log, int64_t step, double waited)
{
    double seconds = clock_seconds() - log->start_seconds, n = (double)log->n;
    fprintf(log->file, "step %" PRId64 " loss %.4f grad %.3f lr %.4g utt/s %.1f data_wait %.0f%%", step,
            log->sum.loss / n, log->sum.gradient_norm / n, log->sum.learning_rate,
            n * (double)loop->batches.batch_size / seconds, 100 * (waited - log->start_waited) / seconds);
    for (int d = 0; d < TRAIN_DETAILS && log->sum.details[d].name; d++)
        fprintf(log->file, " %s %.4f", log->sum.details[d].name, log->sum.details[d].value / n);
    fputc('\n', log->file);
    fflush(log->file);
    *log = (TrainLog){.file = log->file, .start_seconds = clock_seconds(), .start_waited = waited};
}

typedef struct Run {
    TrainLoop *loop;
    Resume resume;
    int64_t step;       // finished so far
    int64_t first_step; // of this process
    TrainLog log;
    Batches *batches;
} Run;

static int restore(Run *run, Error *error)
{
    TrainLoop *loop = run->loop;
    bool found;
    resume_init(&run->resume, loop->model_path, loop->recipe, loop->pace);
    for (int64_t i = 0; i < loop->n_state; i++)
        resume_keep(&run->resume, loop->state[i]);
    resume_keep(&run->resume, state_count("step", &run->step, loop->n_steps));
    if (resume_load(&run->resume, &found, error) < 0)
        return -1;
    if (found)
        log_info("goes on after step %" PRId64 " of %" PRId64, run->step, loop->n_steps);
    run->first_step = run->step;
    return log_file_open(loop, found, &run->log, error);
}

// --- steps

static int refuse_non_finite(const TrainLoop *loop, const Batch *batch, const StepReport *report,
                             Error *error)
{
    char names[700] = "";
    int64_t n = loop->batches.batch_size, shown = n < NAMED_UTTERANCES ? n : NAMED_UTTERANCES;
    for (int64_t b = 0; b < shown; b++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", b ? ", " : "",
                 corpus_utt(loop->batches.corpus, batch_recording(loop->batches.corpus, batch->utts[b])));
    }
    return error_set(error,
                     "step %" PRId64 ": loss %g, gradient norm %g; lower the learning rate, or look at "
                     "the batch's utterances: %s%s",
                     batch->step + 1, report->loss, report->gradient_norm, names, shown < n ? ", ..." : "");
}

static int take_step(Run *run, Error *error)
{
    TrainLoop *loop = run->loop;
    const Batch *batch;
    StepReport report = {0};
    if (batches_next(run->batches, &batch, error) < 0 || loop->step(loop->trainer, batch, &report, error) < 0)
        return -1;
    if (!isfinite(report.loss) || !isfinite(report.gradient_norm))
        return refuse_non_finite(loop, batch, &report, error);
    if (run->step == run->first_step) {
        char arena[32];
        log_info("memory: activations take %s a step",
                 log_bytes(arena, (double)(report.arena_bytes + report.part_bytes)));
    }
    run->step++;
    log_add(&run->log, &report);
    if (run->step % loop->log_every == 0 || run->step == loop->n_steps)
        log_line(loop, &run->log, run->step, batches_waited_seconds(run->batches));
    return 0;
}

static int run_steps(Run *run, Progress *progress, Error *error)
{
    TrainLoop *loop = run->loop;
    int status = 0;
    while (status == 0 && run->step < loop->batches.end_step) {
        status = take_step(run, error);
        progress_step(progress, 1);
        if (status == 0)
            status = resume_step(&run->resume, run->step == loop->n_steps, error);
    }
    return status;
}

// The steps up to where the trainer wants to be asked again.
static int run_stretch(Run *run, Progress *progress, Error *error)
{
    TrainLoop *loop = run->loop;
    loop->batches.first_step = run->step;
    loop->batches.end_step = loop->n_steps;
    if (loop->begin && loop->begin(loop->trainer, run->step, &loop->batches, error) < 0)
        return -1;
    run->batches = batches_create(&loop->batches);
    int status = run_steps(run, progress, error);
    run->log.start_waited -= batches_waited_seconds(run->batches); // the next batches count from 0 again
    batches_destroy(run->batches);
    return status;
}

static int run_stretches(Run *run, Error *error)
{
    Progress *progress = progress_create("step", run->loop->n_steps);
    progress_step(progress, run->step);
    int status = 0;
    while (status == 0 && run->step < run->loop->n_steps)
        status = run_stretch(run, progress, error);
    progress_destroy(progress);
    return status;
}

int train_loop_run(TrainLoop *loop, Error *error)
{
    Run run = {.loop = loop};
    int status = restore(&run, error);
    if (status == 0)
        status = run_stretches(&run, error);
    if (run.log.file)
        fclose(run.log.file);
    resume_release(&run.resume);
    return status;
}
