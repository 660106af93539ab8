// Rows of length 1, which losses on cosines begin with, and the additive angular margin.
#pragma once
#include <stdbool.h>
#include <stdint.h>

// unit [rows, dim] = x / |x|; norm [rows] is kept from 0 as PyTorch's normalize does.
void unit_rows(const float *x, int64_t rows, int64_t dim, float *unit, float *norm);
// d_x += the gradient through x / |x|
void unit_rows_backward(const float *unit, const float *norm, const float *d_unit, int64_t rows, int64_t dim,
                        float *d_x);

// cos(theta + margin) for cosine = cos(theta), as long as that falls with theta; cos(theta) - margin
// sin(margin) beyond pi - margin (Deng et al. 2019). easy: the margin only where cosine > 0. *slope: d result
// / d cosine, finite everywhere: sin(theta) is kept away from 0.
double angular_margin(double cosine, double margin, bool easy, double *slope);
