// Exponential moving average of a student's parameters: the teacher. Buffers (batch-norm statistics) are the
// teacher's own, from its own forward passes, and are left alone.
#pragma once
#include "nn/parameters.h"

// teacher = tau teacher + (1 - tau) student. The two tables were declared alike (asserted by size).
void ema_update(Parameters *teacher, const Parameters *student, double tau);
// The start: values and buffers.
void ema_copy(Parameters *teacher, const Parameters *student);
