// A batch encoded in parts, one after another, so that the activations of only one part are in memory
// (gradient caching, Gao et al. 2021): the encoder first runs without recording, the losses see all
// embeddings together, then it runs again, part by part, to carry their gradients back: one more
// forward pass. The gradients are those of the whole batch, but for batch norm, whose statistics are a
// part's.
#pragma once
#include "models/encoder.h"
#include "train/batches.h"

typedef struct Parts {
    Encoder *encoder;
    Parameters *parameters; // the encoder's running statistics among them
    Tape *tape;             // of a part; not used where there is one
    int64_t n;              // 1: everything at once, recorded on the caller's tape
} Parts;

typedef struct Crops {
    const float *values; // [rows] of crop_shape()
    int64_t rows;
    const CropGroup *group; // how long they are
    bool training;
    // Streams of dropout: one for each part.
    uint64_t seed;
    const char *consumer;
    int64_t step;
    int group_number;
    Tensor **maps; // as ForwardMode has them; NULL with more than one part
} Crops;

// Rows first .. first + count - 1 as the encoder takes them.
Tensor *crops_input(const Encoder *encoder, Tape *tape, const Crops *crops, int64_t first, int64_t count);

// Embeddings [rows, D] on `tape`; with more than one part a leaf.
Tensor *parts_forward(const Parts *parts, Tape *tape, const Crops *crops);
// After the losses' backward passes have left gradients in the embeddings (and, with one part, after the
// tape's own): adds the gradients of the encoder's parameters. Does nothing with one part.
void parts_backward(const Parts *parts, const Crops *crops, const Tensor *embeddings);

// An error unless every part of so many rows has two of them, which batch norm needs.
int parts_check(int64_t n_parts, int64_t rows, Error *error);
