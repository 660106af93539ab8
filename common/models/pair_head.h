// The pair head (Go et al. 2024): cross-attention over two embeddings that decides whether they are of one
// speaker.
//
// The paper's query is the test embedding, its keys and values the enrolment embedding. With one vector on
// each side the attention would have one key and its softmax would always be 1; so each embedding is
// projected to several tokens, and every token of the test looks for what answers it in the enrolment:
//
//     q, k, v = linear(test), linear(enrol), linear(enrol), each read as [PAIR_TOKENS, PAIR_WIDTH]
//     logits  = linear( relu( test + linear(attention(q, k, v)) ) )            [different, same]
//
// Embeddings enter with length sqrt(D), whatever their own. Parameters: "<prefix>query", "key", "value",
// "out" and "decide", each with ".weight" and ".bias".
#pragma once
#include "nn/layers.h"

enum { PAIR_TOKENS = 8, PAIR_WIDTH = 32, PAIR_HEADS = 4 }; // heads: the paper's

typedef struct PairHead {
    Affine query, key, value, out, decide;
} PairHead;

PairHead pair_head_declare(Parameters *parameters, const char *prefix, int64_t dim, int group);
// enrol, test [P, D] -> [P, 2]
Tensor *pair_head_forward(const PairHead *head, Tape *tape, Tensor *enrol, Tensor *test);
