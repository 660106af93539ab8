// How many threads compute. OpenMP and the OpenBLAS OpenMP build share one pool; work is parallel either
// inside one big matrix product or across many small ones, never both.
//
// A product's bits may depend on its shape and on how many threads share it: kernels sum in another order at
// the edges of their tiles (OpenBLAS's Haswell ones at every tile width). What must not depend on its company
// is done item by item through threads_each(), with one item's shapes and on one thread.
#pragma once
#include <stdint.h>

void threads_set(int n); // 0: every core this process may use
int threads_count(void);
const char *threads_describe(void);  // "2 threads, OpenBLAS 0.3.21 (OpenMP, SkylakeX), AVX-512"
const char *threads_complaint(void); // NULL, or a sentence: the linked BLAS is not the OpenMP build

// work(context, item, worker) for items 0 .. n_items - 1, begun in order, at most `at_once` of them at a time
// and no more than there are threads; worker < at_once says which of them it is. All that an item computes is
// computed on one thread: its results depend neither on the number of threads nor on the other items.
void threads_each(int64_t n_items, int at_once, void (*work)(void *context, int64_t item, int worker),
                  void *context);
