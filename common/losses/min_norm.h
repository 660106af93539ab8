// Two tasks that share a representation, balanced (Sener and Koltun 2018, algorithm 2 for two tasks; Li and
// Mak 2023 for a classification and a contrastive loss): the mixture of their gradients with the least norm
// is a direction that harms neither.
#pragma once
#include <stdint.h>

// share of g1 in share g1 + (1 - share) g2, where that is shortest:
//     share = clip(<g2 - g1, g2> / ||g1 - g2||^2, 0, 1)
// and 1/2 where the two are the same. g1, g2 [n].
double min_norm_share(const float *g1, const float *g2, int64_t n);
