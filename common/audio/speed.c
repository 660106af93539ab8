#include "audio/speed.h"

#include <soxr.h>
#include <string.h>

int speed_change(const float *in, int64_t n_in, float *out, int64_t n_out, Error *error)
{
    size_t done = 0;
    soxr_error_t failed = soxr_oneshot((double)n_in, (double)n_out, 1, in, (size_t)n_in, NULL, out,
                                       (size_t)n_out, &done, NULL, NULL, NULL);
    if (failed)
        return error_set(error, "its speed cannot be changed: %s", failed);
    memset(out + done, 0, ((size_t)n_out - done) * sizeof *out); // rounding may cost the last sample
    return 0;
}
