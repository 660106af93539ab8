#include "train/ema.h"

#include <assert.h>
#include <string.h>

void ema_update(Parameters *teacher, const Parameters *student, double tau)
{
    assert(teacher->n_values == student->n_values);
    float keep = (float)tau, take = (float)(1 - tau);
    float *t = teacher->values;
    const float *s = student->values;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < teacher->n_values; i++)
        t[i] = keep * t[i] + take * s[i];
}

void ema_copy(Parameters *teacher, const Parameters *student)
{
    assert(teacher->n_values == student->n_values && teacher->n_buffers == student->n_buffers);
    memcpy(teacher->values, student->values, (size_t)student->n_values * sizeof(float));
    memcpy(teacher->buffers, student->buffers, (size_t)student->n_buffers * sizeof(float));
}
