// Detection errors of scored trials. Memory is O(n): one sorted copy of the scores.
//
// The curve: with the threshold at each distinct score, a trial is accepted when it scores above it.
//     fnr = targets at or below / targets        fpr = nontargets above / nontargets
// EER: wespeaker's rule, linear interpolation between the two points where fnr - fpr changes sign. (Others,
// e.g. voxceleb_trainer, take max(fnr, fpr) at the nearest point, which is a little higher.)
// minDCF: min over the curve of c_miss p fnr + c_fa (1 - p) fpr with both costs 1, divided by min(p, 1 - p).
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

typedef struct DetPoint {
    double threshold, fnr, fpr;
} DetPoint;

typedef struct DetCurve {
    DetPoint *points; // [n], thresholds ascending; ties are one point
    int64_t n;
} DetCurve;

// Both kinds must occur and all scores be finite.
int det_curve_create(const double *scores, const bool *targets, int64_t n, DetCurve *curve, Error *error);
void det_curve_release(DetCurve *curve);

double det_eer(const DetCurve *curve, double *threshold); // a fraction; threshold may be NULL
double det_min_dcf(const DetCurve *curve, double p_target);
double probit(double p); // the normal deviate, DET's axis: 0 < p < 1
// Indices of at most `most` points that keep the curve's shape on a probit plot; returns how many.
int64_t det_thin(const DetCurve *curve, int64_t most, int64_t *indices);
