// Plain losses between a prediction and what it should be.
#pragma once
#include "tensor/tape.h"

// logits [B, N], labels [B] in 0..N-1 -> mean over rows of -log softmax(logits)[label], one element.
Tensor *cross_entropy_loss(Tape *tape, Tensor *logits, const int64_t *labels);

// x [B, D], target [B, D] -> mean over rows of ||x - target||^2, one element.
Tensor *squared_distance_loss(Tape *tape, Tensor *x, const float *target);
