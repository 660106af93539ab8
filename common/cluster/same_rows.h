// Rows that are equal: copies of one recording, or one embedding under several names. They are one point that
// counts as many times, so nothing that follows (k-means, agglomeration, a cut) can take them apart.
#pragma once
#include <stdint.h>

// rows [n, dim] -> group [n]: numbers of the different rows by first appearance; returns how many there are.
// 0 and -0 are equal. O(n log n) comparisons of numbers.
int64_t same_rows(const float *rows, int64_t n, int64_t dim, int64_t *group);
