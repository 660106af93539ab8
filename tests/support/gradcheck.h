// Checks an operator, or anything built on a tape, against a plain reference and against central differences.
//
//     static Tensor *build(Tape *tape, Tensor *const *leaves, const void *context)
//     {
//         return op_linear(tape, leaves[0], leaves[1], leaves[2]);
//     }
//     operator_check(&(OperatorCase){.name = "linear", .build = build, .reference = plain_linear,
//                                    .dims = {{2, 3, 5}, {4, 5}, {4}}});
//
// Leaves are filled with fresh normal numbers in every run; the seed is printed, and VOXLOOP_TEST_SEED=<seed>
// repeats a run. A failure names the case, the leaf, the element and both values.
#pragma once
#include "base/rng.h"
#include "tensor/tape.h"

enum { GRADCHECK_MAX_LEAVES = 6 };

typedef Tensor *GradBuild(Tape *tape, Tensor *const *leaves, const void *context);

typedef struct OperatorCase {
    const char *name;
    GradBuild *build;
    // Fills expected [size of the output] with sums in double; NULL: only gradients are checked.
    void (*reference)(Tensor *const *leaves, const void *context, double *expected);
    const void *context;
    int64_t dims[GRADCHECK_MAX_LEAVES][TENSOR_MAX_DIMS]; // of each leaf; zeros end a shape and the list
    float gap;      // every value keeps this distance from 0, where a function has a kink
    bool no_grad_0; // the first leaf is an input without gradient
} OperatorCase;

// Draws the leaves and checks: the forward pass against the reference (1e-5 of the largest output), the same
// bytes without recording, the gradients of sum(out * r) for a random r, that backward adds to what is there,
// and that a second run gives the same bytes.
void operator_check(const OperatorCase *operator_case);

// Only the gradients, on leaves that the caller made with leaf_create().
void gradcheck(const char *name, GradBuild *build, const void *context, Tensor *const *leaves, int n_leaves);

uint64_t test_seed(void); // printed on first use
Tensor *leaf_create(Rng *rng, const int64_t *dims, float gap);
void leaf_destroy(Tensor *leaf);
