#include "train/schedule.h"

#include <math.h>

static double decline(const Schedule *s, int64_t step)
{
    switch (s->kind) {
    case SCHEDULE_COSINE: {
        int64_t t = step > s->warmup_steps ? step - s->warmup_steps : 0;
        if (t >= s->length)
            return s->end;
        return s->end + (s->peak - s->end) / 2 * (1 + cos(M_PI * (double)t / (double)s->length));
    }
    case SCHEDULE_EXPONENTIAL:
        return s->peak * pow(s->end / s->peak, (double)step / (double)s->length);
    case SCHEDULE_STEP:
        return s->peak * pow(s->factor, (double)(step / s->every));
    case SCHEDULE_CONSTANT:
        break;
    }
    return s->peak;
}

static double warm_up(const Schedule *s, int64_t step)
{
    if (step >= s->warmup_steps)
        return 1;
    double start = s->warmup_start / s->peak;
    int64_t intervals = s->warmup_steps - (s->warmup_inclusive ? 1 : 0);
    return intervals > 0 ? start + (1 - start) * (double)step / (double)intervals : start;
}

double schedule_at(const Schedule *schedule, int64_t step)
{
    return warm_up(schedule, step) * decline(schedule, step);
}

double margin_at(const MarginSchedule *s, int64_t step)
{
    if (step >= s->end)
        return s->final;
    if (step < s->start)
        return s->initial;
    double share = (double)(step - s->start) / (double)(s->end - s->start);
    if (s->exponential)
        share = 1 - exp(share * log(1e-3 / (1 + 1e-6)));
    return s->initial + (s->final - s->initial) * share;
}
