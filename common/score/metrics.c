#include "score/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

typedef struct Scored {
    double score;
    bool target;
} Scored;

static int compare_scores(const void *a, const void *b)
{
    double x = ((const Scored *)a)->score, y = ((const Scored *)b)->score;
    return (x > y) - (x < y);
}

int det_curve_create(const double *scores, const bool *targets, int64_t n, DetCurve *curve, Error *error)
{
    int64_t n_target = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(scores[i]))
            return error_set(error, "the score of trial %lld is not finite", (long long)i + 1);
        n_target += targets[i];
    }
    if (n_target == 0 || n_target == n)
        return error_set(error, "%lld target and %lld nontarget trials; both kinds are needed",
                         (long long)n_target, (long long)(n - n_target));
    Scored *sorted = mem_try_alloc((size_t)n, sizeof(Scored), "sorted scores", error);
    DetPoint *points = mem_try_alloc((size_t)n, sizeof(DetPoint), "the DET curve", error);
    if (!sorted || !points) {
        mem_free(sorted);
        mem_free(points);
        return -1;
    }
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (Scored){scores[i], targets[i]};
    qsort(sorted, (size_t)n, sizeof(Scored), compare_scores);
    int64_t n_points = 0, below[2] = {0, 0}; // nontargets, targets at or below the threshold
    for (int64_t i = 0; i < n; i++) {
        below[sorted[i].target]++;
        if (i + 1 == n || sorted[i + 1].score > sorted[i].score)
            points[n_points++] = (DetPoint){sorted[i].score, (double)below[1] / (double)n_target,
                                            1 - (double)below[0] / (double)(n - n_target)};
    }
    mem_free(sorted);
    *curve = (DetCurve){points, n_points};
    return 0;
}

void det_curve_release(DetCurve *curve)
{
    mem_free(curve->points);
    *curve = (DetCurve){0};
}

// eer = fnr1 + a (fnr2 - fnr1), a = (fnr1 - fpr1) / (fpr2 - fpr1 - (fnr2 - fnr1)), 1 the first point with
// fnr >= fpr, 2 the one before
double det_eer(const DetCurve *curve, double *threshold)
{
    int64_t first = 0; // the last point has fnr 1 and fpr 0, so this ends
    while (curve->points[first].fnr < curve->points[first].fpr)
        first++;
    const DetPoint everything = {-INFINITY, 0, 1}; // accepting all comes before the first point
    const DetPoint *p1 = &curve->points[first], *p2 = first > 0 ? p1 - 1 : &everything;
    if (threshold)
        *threshold = p1->threshold;
    double a = (p1->fnr - p1->fpr) / (p2->fpr - p1->fpr - (p2->fnr - p1->fnr));
    return p1->fnr + a * (p2->fnr - p1->fnr);
}

double det_min_dcf(const DetCurve *curve, double p_target)
{
    double lowest = fmin(p_target, 1 - p_target); // rejecting or accepting all
    double best = lowest;
    for (int64_t i = 0; i < curve->n; i++)
        best = fmin(best, curve->points[i].fnr * p_target + curve->points[i].fpr * (1 - p_target));
    return best / lowest;
}

// Bisection on the normal distribution function; 100 halvings of [-40, 40] reach the last bit.
double probit(double p)
{
    double low = -40, high = 40;
    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2;
        if (0.5 * erfc(-middle / sqrt(2)) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

int64_t det_thin(const DetCurve *curve, int64_t most, int64_t *indices)
{
    // Steps in probit units along the curve: a straight line on the plot gets evenly spaced points.
    int64_t n = 0;
    double step = 16.0 / (double)most, last_fnr = -INFINITY, last_fpr = INFINITY;
    for (int64_t i = 0; i < curve->n && n < most; i++) {
        double fnr = curve->points[i].fnr, fpr = curve->points[i].fpr;
        if (fnr <= 0 || fpr <= 0 || fnr >= 1 || fpr >= 1)
            continue; // infinitely far out on the plot
        double x = probit(fnr), y = probit(fpr);
        if (x - last_fnr + last_fpr - y < step)
            continue;
        indices[n++] = i;
        last_fnr = x;
        last_fpr = y;
    }
    return n;
}
