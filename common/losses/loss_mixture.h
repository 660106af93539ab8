// The dynamic loss gate (Han et al. 2022, as the reference recipe has it): samples with clean pseudo-labels
// have small losses, those with wrong ones large; a mixture of two Gaussians over the log losses of an epoch
// tells where the two meet.
#pragma once
#include <stdint.h>

#include "base/error.h"

typedef struct LossMixture { // by mean, ascending
    double weight[2], mean[2], variance[2];
} LossMixture;

// Expectation-maximisation from the two groups that split the values with the least variance, until the mean
// log-likelihood gains less than 1e-5; variances are floored by 1e-6 (scikit-learn's settings). -1 with a
// sentence when there are fewer than 4 values, or all are the same: no two modes.
int loss_mixture_fit(const float *log_losses, int64_t n, LossMixture *mixture, Error *error);

// Where the weighted densities cross between the two means: samples below belong to the first. -1 when one
// component outweighs the other all the way (an empty mode), with a sentence.
int loss_mixture_crossing(const LossMixture *mixture, double *threshold, Error *error);
