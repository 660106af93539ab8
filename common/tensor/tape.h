// The tape: reverse-mode differentiation. Calling an operator computes its output and records how to walk
// back.
//
//     tape_begin(tape, TAPE_RECORD);                 // a new step; tensors of the last one are gone
//     Tensor *x = tape_input(tape, 3, (int64_t[]){batch, time, 80}, features);
//     Tensor *loss = ...operators...;                // computed at once
//     tape_backward(tape, loss);                     // adds into every leaf's grad (+=)
//
// Memory: everything a step needs comes from the tape's arena, which grows in the first step and is one block
// of known size afterwards: a steady-state step makes no heap allocation. Under TAPE_NO_GRAD nothing is
// recorded, and tape_mark()/tape_release() give back what a layer no longer needs (under TAPE_RECORD they do
// nothing).
//
// An operator is one const descriptor; its forward function (which computes and calls tape_record) and its
// backward function stand side by side in one file. Backward ADDS into tape_grad(input) and never needs
// atomics. Shapes are a programmer's business: operators assert them.
#pragma once
#include <stddef.h>
#include "tensor/tensor.h"

typedef struct Tape Tape;
typedef struct Node Node;

typedef enum TapeMode { TAPE_RECORD, TAPE_NO_GRAD } TapeMode;

typedef struct Operator {
    const char *name;
    void (*backward)(Tape *tape, const Node *node); // reads node->output->grad
} Operator;

enum { NODE_MAX_INPUTS = 32 };

struct Node {
    const Operator *op;
    Tensor *output;
    Tensor **inputs; // [n_inputs], in the arena; NULL for an absent optional input
    int n_inputs;
    void *context; // what backward needs besides, in the arena
};

Tape *tape_create(void);
void tape_destroy(Tape *tape);
void tape_begin(Tape *tape, TapeMode mode);
bool tape_is_recording(const Tape *tape);

// A new tensor with uninitialised data.
Tensor *tape_tensor(Tape *tape, int n_dims, const int64_t *dims);
Tensor *tape_tensor_like(Tape *tape, const Tensor *x);
// A leaf with a copy of the values; no gradient.
Tensor *tape_input(Tape *tape, int n_dims, const int64_t *dims, const float *values);
// 64-byte aligned scratch that lives until the next step (or the enclosing tape_release).
void *tape_scratch(Tape *tape, size_t n_bytes);
// Scratch for the duration of one function: take the mark before and give everything after it back. Works in
// both modes, also in backward; no tensor made in between may be used afterwards.
typedef struct TapeMark {
    size_t chunk, used;
} TapeMark;
TapeMark tape_scratch_begin(Tape *tape);
void tape_scratch_end(Tape *tape, TapeMark mark);

// Records the node when some input needs a gradient (then output->needs_grad is set), else does nothing.
void tape_record(Tape *tape, const Operator *op, Tensor *output, Tensor *const *inputs, int n_inputs,
                 void *context);

// The buffer to add the gradient of x into: zeroed on first use; NULL when x needs none.
float *tape_grad(Tape *tape, Tensor *x);
// The same for operators that touch every element: the first of them gets unwritten memory and *fresh = true,
// and must store (grad_put) where the others add. Saves a pass over large gradients.
float *tape_grad_fresh(Tape *tape, Tensor *x, bool *fresh);
static inline void grad_put(float *grad, float value, bool fresh)
{
    *grad = fresh ? value : *grad + value;
}

void tape_backward(Tape *tape, Tensor *loss);                           // loss: one element; seeds 1
void tape_backward_from(Tape *tape, Tensor *output, const float *grad); // seeds the given gradient
// Seeds nothing: walks back from the gradients that another tape's backward left in this tape's tensors. The
// other tape holds them until its next step.
void tape_backward_on(Tape *tape);

// No-grad memory: y = tape_release(tape, mark, y) drops everything made since the mark except y.
TapeMark tape_mark(const Tape *tape);
Tensor *tape_release(Tape *tape, TapeMark mark, Tensor *keep);

size_t tape_peak_bytes(const Tape *tape);
