// Additive angular margin softmax (Deng et al., "ArcFace", 2019, eq. 3) over the pseudo-speakers.
//
//     logit[b, n] = scale * cos(theta[b, n])              for n != label[b]
//     logit[b, y] = scale * cos(theta[b, y] + margin)     as long as that falls with theta,
//                   scale * (cos(theta) - margin sin(margin))      beyond pi - margin
//     loss        = mean over b of cross_entropy(logit[b], y)
//
// easy_margin: the margin only where cos(theta) > 0, the plain cosine elsewhere. Neither the embeddings nor
// the class weights need to be of length 1. sin(theta) is kept away from 0, so an embedding that equals its
// class weight has a finite gradient.
//
// With sub-centres (Deng et al., "Sub-center ArcFace", 2020) a class has several weights, and its cosine is
// the largest of theirs: noisy labels gather at a sub-centre of their own.
//
// With a gate (Miara et al. 2024, after Han et al. 2022), a sample counts only when the log of its
// cross-entropy is at most the threshold; the mean is over those that count. With clean embeddings, the
// others may be corrected: where max softmax(weight . clean / sharpening), of plain dot products, is above
// the confidence, the sample is trained on that class instead, and the mean is over the whole batch.
#pragma once
#include "tensor/tape.h"

typedef struct LossGate {
    double threshold;   // of log cross-entropy
    const float *clean; // [B, D] embeddings of crops without augmentation; NULL: no correction
    double sharpening, confidence;
} LossGate;

typedef struct AamSoftmax {
    double margin; // radians
    double scale;
    bool easy_margin;
    int64_t subcentres;   // weights of a class, one behind the other; 0 stands for 1
    const LossGate *gate; // NULL: every sample counts
} AamSoftmax;

int64_t aam_subcentres(const AamSoftmax *options); // at least 1

// What the loss saw; arrays live in the tape's arena.
typedef struct AamReport {
    double accuracy;             // share of the batch whose largest cosine is its label's
    double accuracy_with_margin; // the same over the logits that the loss sees
    const float *losses;         // [B] cross-entropy of each sample's own label
    const float *logits;         // [B, N]
    const int64_t *targets;      // [B] the classes trained on; -1: the sample did not count
    int64_t n_passed, n_corrected;
} AamReport;

// embeddings [B, D], weight [N * subcentres, D], labels [B] in 0..N-1 (asserted) -> the mean loss, one
// element. report may be NULL.
Tensor *aam_softmax_loss(Tape *tape, Tensor *embeddings, Tensor *weight, const int64_t *labels,
                         const AamSoftmax *options, AamReport *report);
