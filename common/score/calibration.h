// From scores to log-likelihood ratios, llr = scale * score + offset (natural logarithm), by logistic
// regression, and what they cost (Bruemmer and du Preez 2006).
//
// The regression minimises Cllr on its trials: targets and nontargets weigh the same, whatever their numbers.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "score/metrics.h"

typedef struct Calibration {
    double scale, offset;
} Calibration;

// Both kinds of trials must occur, and scores be finite. Where scores part the two kinds completely, the
// scale has no optimum: it stays finite, and *separable says so. An error where targets do not score higher.
int calibration_fit(const double *scores, const bool *targets, int64_t n, Calibration *calibration,
                    bool *separable, Error *error);
void calibration_apply(const Calibration *calibration, double *scores, int64_t n);
// As JSON, {"scale": ..., "offset": ...}.
int calibration_publish(const char *path, const Calibration *calibration, Error *error);
int calibration_load(const char *path, Calibration *calibration, Error *error);

// Bits: 1/2 mean over targets of log2(1 + exp(-llr)) + 1/2 mean over nontargets of log2(1 + exp(llr)). 1 is
// what llr = 0 costs.
double cllr(const double *llrs, const bool *targets, int64_t n);
// The least that any increasing map of the scores could reach on these trials (isotonic regression).
double cllr_min(const DetCurve *curve);
// The detection cost at the threshold that the prior asks for, log((1 - p) / p), normalised as minDCF is.
double actual_dcf(const double *llrs, const bool *targets, int64_t n, double p_target);
