// How many threads compute. OpenMP and the OpenBLAS OpenMP build share one pool; work is parallel either
// inside one big matrix product or across many small ones, never both.
#pragma once

void threads_set(int n); // 0: every core this process may use
int threads_count(void);
const char *threads_describe(void);  // "2 threads, OpenBLAS 0.3.21 (OpenMP, SkylakeX), AVX-512"
const char *threads_complaint(void); // NULL, or a sentence: the linked BLAS is not the OpenMP build
