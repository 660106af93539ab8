// The pair head (Go et al. 2024): cross-attention over two embeddings that decides whether they are of one
// speaker. The query is the test embedding, the enrolment embedding is the only key, so the attention's
// weight is 1 whatever query and key are, and what is left of it is a linear map of its value. That starts
// from the difference of the two, so that the head starts as a distance and not from chance:
//
//     logits = linear( relu( test - enrol - linear(enrol) ) )                              [different, same]
//
// Embeddings enter with length sqrt(D), whatever their own. Parameters: "enrol" and "decide", each
// with ".weight" and ".bias"; those of enrol start at 0.
#pragma once
#include "nn/layers.h"

typedef struct PairHead {
    Affine enrol, decide;
} PairHead;

PairHead pair_head_declare(Scope scope, int64_t dim);
// enrol, test [P, D] -> [P, 2]
Tensor *pair_head_forward(const PairHead *head, Tape *tape, Tensor *enrol, Tensor *test);
