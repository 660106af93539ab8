// Supervised contrastive loss (Khosla et al. 2020, eq. 2, L_out): rows of one class are drawn together, all
// others pushed away. With an additive angular margin on the positives (Li and Mak 2023):
//
//     L_i  = - 1 / |P(i)| sum over p in P(i) of log( exp(cos(theta_ip + margin) / temperature) / D_i )
//     D_i  = sum over a != i of w_ia exp(cos(theta_ia) / temperature)
//     loss = mean of L_i over the rows that have a positive
//
// P(i) are the other rows of i's class; theta is the angle between two rows. The margin stands in the
// numerator alone, as the paper writes it. When every row has one positive, of its own utterance, this is
// NT-Xent (Chen et al. 2020).
//
// Class-aware attention makes hard negatives count less. The paper gives no formula that could be checked;
// ours looks at classes, not rows, because what is doubtful about a pseudo-label is whether two clusters are
// one speaker:
//
//     w_ia = n_i exp(-cos(m_i, m_a)) / sum over i's negatives b of exp(-cos(m_i, m_b))       for negatives a
//
// with m the mean of the class's unit rows in the batch and n_i the number of i's negatives, so that the
// weights' mean is 1; the closest class weighs at most e^2 less than the farthest. w_ia = 1 for positives,
// and for all without attention. No gradient passes through w.
#pragma once
#include "tensor/tape.h"

typedef struct SupCon {
    double temperature, margin; // margin in radians
    bool class_aware;
} SupCon;

// x [N, D], of any length, N > 1; labels [N], any numbers -> the loss, one element; 0 when no row has a
// positive. Takes 2 N^2 floats.
Tensor *supcon_loss(Tape *tape, Tensor *x, const int64_t *labels, const SupCon *options);
