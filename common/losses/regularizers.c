// Letters: V views, B samples of each, D dimensions.
#include "losses/regularizers.h"

#include <assert.h>
#include <math.h>

#include "tensor/gemm.h"
#include "tensor/ops.h"

static const double VARIANCE_EPSILON = 1e-4, DISTANCE_EPSILON = 1e-8;
static const float LENGTH_EPSILON = 1e-12f;

typedef struct Context {
    int64_t n_views, n_samples;
    float *centred;           // [V * B, D] x minus its view's mean
    float *spread;            // variance: [V, D] standard deviations; covariance: [V, D, D], the diagonal 0
    int64_t *nearest;         // KoLeo: [V * B] the nearest row of the same view
    double *squared_distance; // and how far it is
} Context;

static Context *context_create(Tape *tape, const Tensor *x, int64_t n_views)
{
    assert(n_views >= 1 && x->dim[0] % n_views == 0 && x->dim[0] / n_views >= 2);
    Context *c = tape_scratch(tape, sizeof *c);
    *c = (Context){.n_views = n_views, .n_samples = x->dim[0] / n_views};
    return c;
}

static void center_views(Tape *tape, Context *c, const Tensor *x)
{
    int64_t n = x->dim[1], samples = c->n_samples;
    c->centred = tape_scratch(tape, (size_t)tensor_size(x) * sizeof(float));
    for (int64_t view = 0; view < c->n_views; view++)
        for (int64_t d = 0; d < n; d++) {
            const float *column = x->data + view * samples * n + d;
            float *centred = c->centred + view * samples * n + d;
            double mean = 0;
            for (int64_t b = 0; b < samples; b++)
                mean += column[b * n];
            mean /= (double)samples;
            for (int64_t b = 0; b < samples; b++)
                centred[b * n] = (float)(column[b * n] - mean);
        }
}

// --- variance

static double column_deviation(const Context *c, int64_t view, int64_t d, int64_t n)
{
    const float *column = c->centred + view * c->n_samples * n + d;
    double squares = 0;
    for (int64_t b = 0; b < c->n_samples; b++)
        squares += (double)column[b * n] * column[b * n];
    return sqrt(squares / (double)(c->n_samples - 1) + VARIANCE_EPSILON);
}

// d(1 - s) / dx = -(x - mean) / ((B - 1) s) where s < 1; what goes through the mean cancels.
static void variance_backward(Tape *tape, const Node *node)
{
    const Context *c = node->context;
    const Tensor *x = node->inputs[0];
    float *d_x = tape_grad(tape, node->inputs[0]);
    if (!d_x)
        return;
    int64_t n = x->dim[1];
    double factor = node->output->grad[0] / (double)(c->n_views * n * (c->n_samples - 1));
    for (int64_t row = 0; row < x->dim[0]; row++) {
        const float *deviation = c->spread + row / c->n_samples * n;
        for (int64_t d = 0; d < n; d++)
            if (deviation[d] < 1)
                d_x[row * n + d] -= (float)(factor * c->centred[row * n + d] / deviation[d]);
    }
}

static const Operator variance = {"variance", variance_backward};

Tensor *variance_loss(Tape *tape, Tensor *x, int64_t n_views)
{
    Tensor *loss = tape_tensor(tape, 1, (int64_t[]){1});
    Context *c = context_create(tape, x, n_views);
    int64_t n = x->dim[1];
    center_views(tape, c, x);
    c->spread = tape_scratch(tape, (size_t)(n_views * n) * sizeof(float));
    double sum = 0;
    for (int64_t i = 0; i < n_views * n; i++) {
        double deviation = column_deviation(c, i / n, i % n, n);
        c->spread[i] = (float)deviation;
        sum += fmax(0, 1 - deviation);
    }
    loss->data[0] = (float)(sum / (double)(n_views * n));
    tape_record(tape, &variance, loss, (Tensor *[]){x}, 1, c);
    return loss;
}

// --- covariance

// d(sum of C^2) / dx = 4 (x - mean) C / (B - 1); what goes through the mean cancels.
static void covariance_backward(Tape *tape, const Node *node)
{
    const Context *c = node->context;
    const Tensor *x = node->inputs[0];
    float *d_x = tape_grad(tape, node->inputs[0]);
    if (!d_x)
        return;
    int64_t n = x->dim[1], samples = c->n_samples;
    float factor = 4 * node->output->grad[0] / (float)(c->n_views * n * (samples - 1));
    for (int64_t view = 0; view < c->n_views; view++)
        gemm(false, false, samples, n, n, factor, c->centred + view * samples * n, n,
             c->spread + view * n * n, n, 1, d_x + view * samples * n, n);
}

static const Operator covariance = {"covariance", covariance_backward};

Tensor *covariance_loss(Tape *tape, Tensor *x, int64_t n_views)
{
    Tensor *loss = tape_tensor(tape, 1, (int64_t[]){1});
    Context *c = context_create(tape, x, n_views);
    int64_t n = x->dim[1], samples = c->n_samples;
    center_views(tape, c, x);
    c->spread = tape_scratch(tape, (size_t)(n_views * n * n) * sizeof(float));
    double sum = 0;
    for (int64_t view = 0; view < n_views; view++) {
        const float *centred = c->centred + view * samples * n;
        float *matrix = c->spread + view * n * n;
        gemm(true, false, n, n, samples, 1 / (float)(samples - 1), centred, n, centred, n, 0, matrix, n);
        for (int64_t d = 0; d < n; d++)
            matrix[d * n + d] = 0;
        for (int64_t i = 0; i < n * n; i++)
            sum += (double)matrix[i] * matrix[i];
    }
    loss->data[0] = (float)(sum / (double)(n_views * n));
    tape_record(tape, &covariance, loss, (Tensor *[]){x}, 1, c);
    return loss;
}

// --- KoLeo

static double squared_distance(const float *a, const float *b, int64_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t d = 0; d < n; d++)
        sum += ((double)a[d] - b[d]) * ((double)a[d] - b[d]);
    return sum;
}

static void find_nearest(const Context *c, const Tensor *x, int64_t row)
{
    int64_t n = x->dim[1], first = row - row % c->n_samples;
    double least = INFINITY;
    c->nearest[row] = row; // stays so where nothing is finite
    for (int64_t other = first; other < first + c->n_samples; other++) {
        double distance = squared_distance(x->data + row * n, x->data + other * n, n);
        if (other != row && distance < least) {
            least = distance;
            c->nearest[row] = other;
        }
    }
    c->squared_distance[row] = least;
}

// Both ends of each distance move.
static void koleo_backward(Tape *tape, const Node *node)
{
    const Context *c = node->context;
    const Tensor *x = node->inputs[0];
    float *d_x = tape_grad(tape, node->inputs[0]);
    if (!d_x)
        return;
    int64_t n = x->dim[1], rows = x->dim[0];
    for (int64_t row = 0; row < rows; row++) {
        int64_t other = c->nearest[row];
        float factor =
            (float)(node->output->grad[0] / ((double)rows * (c->squared_distance[row] + DISTANCE_EPSILON)));
        for (int64_t d = 0; d < n; d++) {
            float push = factor * (x->data[row * n + d] - x->data[other * n + d]);
            d_x[row * n + d] -= push;
            d_x[other * n + d] += push;
        }
    }
}

static const Operator koleo = {"koleo", koleo_backward};

Tensor *koleo_loss(Tape *tape, Tensor *x, int64_t n_views)
{
    Tensor *loss = tape_tensor(tape, 1, (int64_t[]){1});
    Tensor *unit = op_l2_normalize(tape, x, LENGTH_EPSILON);
    Context *c = context_create(tape, unit, n_views);
    int64_t rows = unit->dim[0];
    c->nearest = tape_scratch(tape, (size_t)rows * sizeof(int64_t));
    c->squared_distance = tape_scratch(tape, (size_t)rows * sizeof(double));
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++)
        find_nearest(c, unit, row);
    double sum = 0;
    for (int64_t row = 0; row < rows; row++)
        sum += log(c->squared_distance[row] + DISTANCE_EPSILON) / 2;
    loss->data[0] = (float)(-sum / (double)rows);
    tape_record(tape, &koleo, loss, (Tensor *[]){unit}, 1, c);
    return loss;
}
