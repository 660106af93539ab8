#include "losses/min_norm.h"

#include <math.h>

double min_norm_share(const float *g1, const float *g2, int64_t n)
{
    double along = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double difference = (double)g2[i] - g1[i];
        along += difference * g2[i];
        squares += difference * difference;
    }
    return squares > 0 ? fmin(fmax(along / squares, 0), 1) : 0.5;
}
