// Terms that keep embeddings apart, on top of a loss that draws them together.
//
// x [n_views * B, D], view-major: all samples of view 0, then all of view 1, and so on; B >= 2. Each term
// looks at one view at a time, so the crops of one recording are never pushed apart, and is the mean over
// views, one element. Identical rows give a finite loss and gradient.
//
// Variance and covariance are those of VICReg (Bardes et al. 2022, equations 1 to 4), which RDINO (Chen et
// al. 2023) adds to DINO; 3D-Speaker's configuration of it has coefficients of 10 and 1 and a lambda of 0.2.
#pragma once
#include "tensor/tape.h"

// mean over d of max(0, 1 - sqrt(var(x[:, d]) + 1e-4)), var with the divisor B - 1
Tensor *variance_loss(Tape *tape, Tensor *x, int64_t n_views);

// 1 / D sum over i != j of C[i, j]^2, C = (x - mean)^T (x - mean) / (B - 1)
Tensor *covariance_loss(Tape *tape, Tensor *x, int64_t n_views);

// KoLeo (Sablayrolles et al. 2019, equation 2), the Kozachenko-Leonenko estimate of the entropy, as DINOv2
// has it on vectors of length 1:
//
//     - mean over samples of log d,   d = min over the other samples j of ||x / ||x|| - x[j] / ||x[j]|| ||
//
// with log d taken as log(d^2 + 1e-8) / 2, smooth down to d = 0. DINOv2's weight is 0.1.
Tensor *koleo_loss(Tape *tape, Tensor *x, int64_t n_views);
