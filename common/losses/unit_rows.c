#include "losses/unit_rows.h"

#include <math.h>

static const float NORM_FLOOR = 1e-12f; // PyTorch's F.normalize
static const double SINE_FLOOR = 1e-6;  // below this angle the slope of sin(theta) is meaningless in float

void unit_rows(const float *x, int64_t rows, int64_t dim, float *unit, float *norm)
{
#pragma omp parallel for schedule(static) if (rows * dim > 65536)
    for (int64_t r = 0; r < rows; r++) {
        double squares = 0;
        for (int64_t d = 0; d < dim; d++)
            squares += (double)x[r * dim + d] * x[r * dim + d];
        norm[r] = fmaxf((float)sqrt(squares), NORM_FLOOR);
        for (int64_t d = 0; d < dim; d++)
            unit[r * dim + d] = x[r * dim + d] / norm[r];
    }
}

// y = x / |x|: d_x = (d_y - y <y, d_y>) / |x|
void unit_rows_backward(const float *unit, const float *norm, const float *d_unit, int64_t rows, int64_t dim,
                        float *d_x)
{
#pragma omp parallel for schedule(static) if (rows * dim > 65536)
    for (int64_t r = 0; r < rows; r++) {
        const float *y = unit + r * dim, *d_y = d_unit + r * dim;
        double along = 0;
        for (int64_t d = 0; d < dim; d++)
            along += (double)y[d] * d_y[d];
        for (int64_t d = 0; d < dim; d++)
            d_x[r * dim + d] += (d_y[d] - y[d] * (float)along) / norm[r];
    }
}

double angular_margin(double cosine, double margin, bool easy, double *slope)
{
    double sine = fmax(sqrt(fmax(1 - cosine * cosine, 0)), SINE_FLOOR);
    bool inside = easy ? cosine > 0 : cosine > cos(M_PI - margin);
    *slope = inside ? cos(margin) + sin(margin) * cosine / sine : 1;
    if (inside)
        return cosine * cos(margin) - sine * sin(margin);
    return easy ? cosine : cosine - margin * sin(M_PI - margin);
}
