// The total variability model (Dehak et al. 2011): an utterance's Gaussian means are m_c + T_c w, with w ~
// N(0, I) of R dimensions for the whole utterance and the mixture's covariances S_c. The posterior mean of w
// is the i-vector.
//
//     N_c, F_c = sum over frames of posterior, posterior * x                                   (statistics)
//     L = I + sum_c N_c T_c' S_c^-1 T_c,   b = sum_c T_c' S_c^-1 (F_c - N_c m_c)
//     w | frames ~ N(L^-1 b, L^-1)
//
// EM: E[w w'] = L^-1 + w w';  T_c = (sum_u (F_uc - N_uc m_c) w_u') (sum_u N_uc E[w_u w_u'])^-1. Then minimum
// divergence re-estimation (Kenny 2008): with h and P = K K' the mean and covariance of E[w] over the
// utterances, m_c += T_c h and T_c = T_c K give the same likelihoods of the frames with a w that is N(0, I)
// again.
#pragma once
#include <stdint.h>
#include "base/error.h"
#include "ivector/gmm.h"

typedef struct TotalVariability { // the arrays are the caller's
    int64_t n, dim, rank;         // C, D, R
    float *means;                 // [C, D]
    float *matrix;                // [C, D, R]
} TotalVariability;

// The mixture's means, and a small random matrix in units of its standard deviations.
void tv_begin(TotalVariability *tv, const Gmm *ubm, Rng *rng);

typedef struct TvScorer TvScorer; // products of tv and the covariances that statistics are multiplied with

// ubm: its covariances. NULL with a sentence when memory is short or a covariance singular.
TvScorer *tv_scorer_create(const TotalVariability *tv, const Gmm *ubm, Error *error);
void tv_scorer_destroy(TvScorer *scorer);
// For a batch of utterances: occupation [B, C] and sums [B, C, D] -> ivectors [B, R].
void tv_extract(const TvScorer *scorer, const float *occupation, const float *sums, int64_t batch,
                float *ivectors);

typedef struct TvSums TvSums; // what an iteration gathers

TvSums *tv_sums_create(const TotalVariability *tv, Error *error);
void tv_sums_destroy(TvSums *sums);
// Adds a batch of utterances, in the order of the calls.
void tv_gather(TvSums *sums, const TvScorer *scorer, const float *occupation, const float *sums_of_frames,
               int64_t batch);
// The mean over utterances of the part of the frames' log-likelihood that depends on m and T; EM never lowers
// it.
double tv_log_likelihood(const TvSums *sums);
// The new m and T.
int tv_maximise(const TvSums *sums, TotalVariability *tv, Error *error);
