// Symmetric positive definite systems in double (LAPACK, in OpenBLAS).
#pragma once
#include <stdint.h>

// a [n, n] = L L^T in place; only one triangle is read and written, the same one that the others read.
// Returns -1 when it is not positive definite, else 0 and log |a| in *log_determinant (may be NULL).
int cholesky_factor(double *a, int64_t n, double *log_determinant);
// b [n_sides, n]: each row x becomes the solution of a x = b, given a's factor.
void cholesky_solve(const double *factor, int64_t n, double *b, int64_t n_sides);
// a's inverse in place of its factor, both triangles.
void cholesky_invert(double *factor, int64_t n);
// The factor's element of L in row i, column j <= i.
static inline double cholesky_at(const double *factor, int64_t n, int64_t i, int64_t j)
{
    return factor[j * n + i]; // LAPACK counts by columns
}
