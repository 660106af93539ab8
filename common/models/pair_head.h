// The pair head (Go et al. 2024): cross-attention over two embeddings that decides whether they are of one
// speaker. The query is the test embedding, the enrolment embedding is the only key, so the attention's
// weight is 1 whatever query and key are, and what is left of it are the projections of its value:
//
//     logits = linear( relu( test + linear(linear(enrol)) ) )                              [different, same]
//
// Embeddings enter with length sqrt(D), whatever their own. Attention over more keys was tried and is worse:
// on the demo corpus the head alone has an EER of 3.7 %, 7.8 % with the test as a second key, 18 % with each
// embedding as 8 tokens. Parameters: "<prefix>value", "out" and "decide", each with ".weight" and ".bias".
#pragma once
#include "nn/layers.h"

enum { PAIR_WIDTH = 256 };

typedef struct PairHead {
    Affine value, out, decide;
} PairHead;

PairHead pair_head_declare(Parameters *parameters, const char *prefix, int64_t dim, int group);
// enrol, test [P, D] -> [P, 2]
Tensor *pair_head_forward(const PairHead *head, Tape *tape, Tensor *enrol, Tensor *test);
