// One forward pass through a model: how it is run, and the random streams of its dropouts. Each place that
// draws takes the next stream, so the n-th dropout of a step draws the same on every machine and after every
// resume.
//
//     Pass pass = pass_begin(tape, mode, "wavlm");
//     x = pass_dropout(&pass, x, 0.1); // x itself where nothing is trained
#pragma once
#include "base/rng.h"
#include "tensor/tape.h"

typedef struct ForwardMode {
    bool training; // batch statistics, dropout
    Rng rng;       // for dropout and layer drop
    Tensor **maps; // NULL, or [n_maps] filled with the intermediate feature maps; needs a recording tape
} ForwardMode;

typedef struct Pass {
    Tape *tape;
    const ForwardMode *mode;
    const char *consumer; // names the streams
    uint64_t n_streams;   // taken so far
} Pass;

Pass pass_begin(Tape *tape, const ForwardMode *mode, const char *consumer);
// Whether something is drawn with this probability: in training, and above 0. Takes no stream.
bool pass_draws(const Pass *pass, double probability);
Rng pass_stream(Pass *pass);
Tensor *pass_dropout(Pass *pass, Tensor *x, double probability);
bool pass_chance(Pass *pass, double probability); // true with that probability; never where nothing is drawn
