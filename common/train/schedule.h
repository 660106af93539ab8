// Values that change with the step: learning rate, EMA momentum, teacher temperature, margin. Pure functions
// of the step, so a resumed run needs no state.
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef enum ScheduleKind {
    SCHEDULE_CONSTANT,
    SCHEDULE_COSINE, // from peak to end along half a cosine over `length` steps after the warm-up, then end
    SCHEDULE_EXPONENTIAL, // peak * (end / peak)^(step / length), counted from step 0
    SCHEDULE_STEP         // peak * factor^floor(step / every)
} ScheduleKind;

// value(step) = decline(step) * warm-up(step). The warm-up is linear from warmup_start / peak to 1.
typedef struct Schedule {
    ScheduleKind kind;
    double peak, end;
    int64_t length; // cosine, exponential
    double factor;  // step
    int64_t every;
    int64_t warmup_steps;
    double warmup_start;
    // The last warm-up step already has the peak (numpy's linspace) instead of the first step behind it.
    bool warmup_inclusive;
} Schedule;

double schedule_at(const Schedule *schedule, int64_t step);

// AAM's margin, as wespeaker's MarginScheduler: `initial` before `start`, `final` from `end` on; in between
// linear, or fast at first (exponential: what is missing falls to a thousandth).
typedef struct MarginSchedule {
    double initial, final;
    int64_t start, end; // steps
    bool exponential;
} MarginSchedule;

double margin_at(const MarginSchedule *schedule, int64_t step);
