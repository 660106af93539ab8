// Second-order filter sections (R. Bristow-Johnson, "Audio EQ Cookbook").
#pragma once
#include <math.h>
#include <stdint.h>

typedef struct Biquad {
    double b0, b1, b2, a1, a2; // a0 = 1
} Biquad;

// x [n], in place, from silence.
static inline void biquad_apply(const Biquad *f, float *x, int64_t n)
{
    double x1 = 0, x2 = 0, y1 = 0, y2 = 0;
    for (int64_t i = 0; i < n; i++) {
        double y = f->b0 * x[i] + f->b1 * x1 + f->b2 * x2 - f->a1 * y1 - f->a2 * y2;
        x2 = x1, x1 = x[i], y2 = y1, y1 = y;
        x[i] = (float)y;
    }
}

static inline Biquad biquad_peak(double centre_hz, double gain_db, double q, double rate_hz)
{
    double a = pow(10, gain_db / 40), w = 2 * M_PI * centre_hz / rate_hz, alpha = sin(w) / (2 * q),
           a0 = 1 + alpha / a;
    return (Biquad){(1 + alpha * a) / a0, -2 * cos(w) / a0, (1 - alpha * a) / a0, -2 * cos(w) / a0,
                    (1 - alpha / a) / a0};
}

static inline Biquad biquad_low_pass(double edge_hz, double q, double rate_hz)
{
    double w = 2 * M_PI * edge_hz / rate_hz, alpha = sin(w) / (2 * q), a0 = 1 + alpha, b = (1 - cos(w)) / a0;
    return (Biquad){b / 2, b, b / 2, -2 * cos(w) / a0, (1 - alpha) / a0};
}

static inline Biquad biquad_high_pass(double edge_hz, double q, double rate_hz)
{
    double w = 2 * M_PI * edge_hz / rate_hz, alpha = sin(w) / (2 * q), a0 = 1 + alpha, b = (1 + cos(w)) / a0;
    return (Biquad){b / 2, -b, b / 2, -2 * cos(w) / a0, (1 - alpha) / a0};
}
