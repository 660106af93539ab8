#include "tensor/cholesky.h"

#include <math.h>
#include <stddef.h>

void dpotrf_(const char *triangle, const int *n, double *a, const int *lda, int *info);
void dpotrs_(const char *triangle, const int *n, const int *n_sides, const double *a, const int *lda,
             double *b, const int *ldb, int *info);
void dpotri_(const char *triangle, const int *n, double *a, const int *lda, int *info);

int cholesky_factor(double *a, int64_t n, double *log_determinant)
{
    int size = (int)n, info = 0;
    dpotrf_("L", &size, a, &size, &info);
    if (info != 0)
        return -1;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += 2 * log(a[i * n + i]);
    if (log_determinant)
        *log_determinant = sum;
    return 0;
}

void cholesky_solve(const double *factor, int64_t n, double *b, int64_t n_sides)
{
    int size = (int)n, sides = (int)n_sides, info = 0;
    dpotrs_("L", &size, &sides, factor, &size, b, &size, &info);
}

void cholesky_invert(double *factor, int64_t n)
{
    int size = (int)n, info = 0;
    dpotri_("L", &size, factor, &size, &info);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            factor[i * n + j] = factor[j * n + i];
}
