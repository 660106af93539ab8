// Gaussian mixtures over frames, diagonal or full, trained by expectation-maximisation.
//
// A frame x [D] is expanded to q(x): 1, x and either x^2 or the products x_i x_j, i >= j. The log-likelihood
// of every Gaussian is linear in q, so for a block of frames all of them are one matrix product, and all
// sufficient statistics (occupation, sum, sum of products) are another one, of the posteriors with q.
//
// Frames are expected at mean 0 and variance 1 per dimension over the corpus. Covariances have a conjugate
// prior worth `prior` frames of covariance GMM_PRIOR_VARIANCE I: they stay invertible whatever the number of
// frames, and EM never lowers log-likelihood plus log-prior. With prior = 0 it is maximum likelihood.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/rng.h"

enum { GMM_MAX_TOP = 64 };
static const double GMM_PRIOR_VARIANCE = 0.1;

typedef struct Gmm { // the arrays are the caller's
    int64_t n, dim;
    bool full;
    float *weights, *means; // [n], [n, dim]
    float *covariances;     // [n, dim, dim]; diagonal ones keep 0 elsewhere
} Gmm;

// From `n` of the frames, drawn at random: covariances 1, equal weights. n_frames >= gmm->n.
void gmm_begin(Gmm *gmm, const float *frames, int64_t n_frames, Rng *rng);

typedef struct GmmScorer { // what the products need
    int64_t n, dim, expanded_dim;
    bool full;
    float *rows; // [n, expanded_dim]
} GmmScorer;

int64_t gmm_expanded_dim(int64_t dim, bool full);
// An error where a covariance is not positive definite.
int gmm_scorer_create(const Gmm *gmm, GmmScorer *scorer, Error *error);
void gmm_scorer_release(GmmScorer *scorer);
// frames [n_frames, dim] -> posteriors [n_frames, n] and, where not NULL, expanded [n_frames, expanded_dim];
// returns the sum of log-likelihoods. top > 0, at most GMM_MAX_TOP: only the `top` largest of a frame are
// kept, scaled to a sum of 1 again.
double gmm_posteriors(const GmmScorer *scorer, const float *frames, int64_t n_frames, int64_t top,
                      float *posteriors, float *expanded);

// One iteration over the frames. *log_likelihood: the mean per frame before it.
int gmm_iterate(Gmm *gmm, const float *frames, int64_t n_frames, double prior, double *log_likelihood,
                Error *error);
// Per frame as well; what EM raises is the sum of both.
double gmm_log_prior(const Gmm *gmm, int64_t n_frames, double prior);
