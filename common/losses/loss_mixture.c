#include "losses/loss_mixture.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

enum { FEWEST = 4, MOST_ITERATIONS = 1000, BISECTIONS = 60 };
static const double TOLERANCE = 1e-5, VARIANCE_FLOOR = 1e-6;

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// Mean and variance of sorted values [first, last) from running sums.
static void moments(const double *sums, const double *squares, int64_t first, int64_t last, double *mean,
                    double *variance)
{
    double n = (double)(last - first);
    *mean = (sums[last] - sums[first]) / n;
    *variance = fmax((squares[last] - squares[first]) / n - *mean * *mean, 0);
}

// The best split of sorted values in two (one-dimensional 2-means, exactly).
static void split(const float *sorted, int64_t n, LossMixture *mixture)
{
    double *sums = mem_zero((size_t)n + 1, sizeof *sums), *squares = mem_zero((size_t)n + 1, sizeof *squares);
    for (int64_t i = 0; i < n; i++) {
        sums[i + 1] = sums[i] + sorted[i];
        squares[i + 1] = squares[i] + (double)sorted[i] * sorted[i];
    }
    double best = INFINITY;
    for (int64_t cut = 1; cut < n; cut++) {
        double mean[2], variance[2];
        moments(sums, squares, 0, cut, &mean[0], &variance[0]);
        moments(sums, squares, cut, n, &mean[1], &variance[1]);
        double within = variance[0] * (double)cut + variance[1] * (double)(n - cut);
        if (within >= best)
            continue;
        best = within;
        *mixture = (LossMixture){{(double)cut / (double)n, (double)(n - cut) / (double)n},
                                 {mean[0], mean[1]},
                                 {variance[0] + VARIANCE_FLOOR, variance[1] + VARIANCE_FLOOR}};
    }
    mem_free(sums);
    mem_free(squares);
}

static double log_density(const LossMixture *m, int k, double x)
{
    double distance = x - m->mean[k];
    return log(m->weight[k]) - 0.5 * (log(2 * M_PI * m->variance[k]) + distance * distance / m->variance[k]);
}

// One round of expectation and maximisation; returns the mean log-likelihood before it.
static double iterate(const float *x, int64_t n, LossMixture *m)
{
    double likelihood = 0, count[2] = {0}, sum[2] = {0}, squares[2] = {0};
    for (int64_t i = 0; i < n; i++) {
        double density[2] = {log_density(m, 0, x[i]), log_density(m, 1, x[i])};
        double largest = fmax(density[0], density[1]);
        double both = largest + log(exp(density[0] - largest) + exp(density[1] - largest));
        likelihood += both;
        for (int k = 0; k < 2; k++) {
            double share = exp(density[k] - both);
            count[k] += share;
            sum[k] += share * x[i];
            squares[k] += share * x[i] * x[i];
        }
    }
    for (int k = 0; k < 2; k++) {
        double held = fmax(count[k], 1e-10); // scikit-learn's guard against an empty component
        m->weight[k] = held / (double)n;
        m->mean[k] = sum[k] / held;
        m->variance[k] = fmax(squares[k] / held - m->mean[k] * m->mean[k], 0) + VARIANCE_FLOOR;
    }
    return likelihood / (double)n;
}

static void swap(double pair[2])
{
    double first = pair[0];
    pair[0] = pair[1];
    pair[1] = first;
}

int loss_mixture_fit(const float *log_losses, int64_t n, LossMixture *mixture, Error *error)
{
    if (n < FEWEST)
        return error_set(error, "%lld losses are too few to find two modes in", (long long)n);
    float *sorted = mem_alloc((size_t)n, sizeof *sorted);
    for (int64_t i = 0; i < n; i++)
        sorted[i] = log_losses[i];
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    if (sorted[0] == sorted[n - 1]) {
        mem_free(sorted);
        return error_set(error, "all losses are the same");
    }
    split(sorted, n, mixture);
    double before = -INFINITY;
    for (int i = 0; i < MOST_ITERATIONS; i++) {
        double likelihood = iterate(sorted, n, mixture);
        if (likelihood - before < TOLERANCE)
            break;
        before = likelihood;
    }
    mem_free(sorted);
    if (mixture->mean[0] > mixture->mean[1]) {
        swap(mixture->weight);
        swap(mixture->mean);
        swap(mixture->variance);
    }
    return 0;
}

static double advantage(const LossMixture *m, double x)
{
    return log_density(m, 0, x) - log_density(m, 1, x);
}

// Two Gaussians' log densities differ by a parabola: with other signs at the means there is just one zero.
int loss_mixture_crossing(const LossMixture *m, double *threshold, Error *error)
{
    double low = m->mean[0], high = m->mean[1];
    if (!(advantage(m, low) > 0 && advantage(m, high) < 0))
        return error_set(error,
                         "the losses have no two modes with a crossing between them (means %.3g and "
                         "%.3g, weights %.3g and %.3g)",
                         m->mean[0], m->mean[1], m->weight[0], m->weight[1]);
    for (int i = 0; i < BISECTIONS; i++) {
        double middle = 0.5 * (low + high);
        *(advantage(m, middle) > 0 ? &low : &high) = middle;
    }
    *threshold = low;
    return 0;
}
