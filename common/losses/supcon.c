// N rows, D dimensions.
#include "losses/supcon.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "losses/unit_rows.h"
#include "tensor/gemm.h"

typedef struct Context {
    float *unit, *norm; // [N, D], [N]
    float *d_cosine;    // [N, N] of the loss by the cosine of anchor (row) and other (column)
} Context;

static void supcon_backward(Tape *tape, const Node *node)
{
    const Context *c = node->context;
    Tensor *x = node->inputs[0];
    int64_t n = x->dim[0], dim = x->dim[1];
    float *d_x = tape_grad(tape, x), d_loss = node->output->grad[0];
    TapeMark mark = tape_scratch_begin(tape);
    float *d_unit = tape_scratch(tape, (size_t)(n * dim) * sizeof(float));
    gemm(false, false, n, dim, n, d_loss, c->d_cosine, n, c->unit, dim, 0, d_unit, dim); // as anchors
    gemm(true, false, n, dim, n, d_loss, c->d_cosine, n, c->unit, dim, 1, d_unit, dim);  // as the others
    unit_rows_backward(c->unit, c->norm, d_unit, n, dim, d_x);
    tape_scratch_end(tape, mark);
}

static const Operator supcon = {"supcon", supcon_backward};

// means [N, D]: of each row's class, of length 1.
static void class_means(Tape *tape, const float *unit, const int64_t *labels, int64_t n, int64_t dim,
                        float *means)
{
    float *sums = tape_scratch(tape, (size_t)(n * dim) * sizeof(float));
    float *norms = tape_scratch(tape, (size_t)n * sizeof(float));
    memset(sums, 0, (size_t)(n * dim) * sizeof(float));
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            if (labels[i] != labels[j])
                continue;
            for (int64_t d = 0; d < dim; d++)
                sums[i * dim + d] += unit[j * dim + d];
        }
    unit_rows(sums, n, dim, means, norms);
}

// weights [N, N]: w_ia.
static void attend(Tape *tape, const float *unit, const int64_t *labels, int64_t n, int64_t dim,
                   float *weights)
{
    TapeMark mark = tape_scratch_begin(tape);
    float *means = tape_scratch(tape, (size_t)(n * dim) * sizeof(float));
    class_means(tape, unit, labels, n, dim, means);
    gemm(false, true, n, n, dim, 1, means, dim, means, dim, 0, weights, n);
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        int64_t n_negatives = 0;
        for (int64_t a = 0; a < n; a++) {
            bool is_negative = labels[a] != labels[i];
            weights[i * n + a] = is_negative ? expf(-weights[i * n + a]) : 1;
            sum += is_negative ? (double)weights[i * n + a] : 0;
            n_negatives += is_negative;
        }
        for (int64_t a = 0; a < n; a++)
            if (labels[a] != labels[i])
                weights[i * n + a] *= (float)((double)n_negatives / sum);
    }
    tape_scratch_end(tape, mark);
}

// The row's loss. cosine [N] becomes its gradient; weight [N] or NULL.
static double anchor_loss(const SupCon *options, const int64_t *labels, int64_t n, int64_t i,
                          int64_t n_positives, const float *weight, float *cosine)
{
    double sum = 0, positives = 0, temperature = options->temperature, share = 1 / (double)n_positives;
    for (int64_t a = 0; a < n; a++) // exp((cos - 1) / temperature) cannot overflow
        if (a != i)
            sum += (weight ? weight[a] : 1) * exp((cosine[a] - 1) / temperature);
    for (int64_t a = 0; a < n; a++) {
        double slope = 0, probability = (weight ? weight[a] : 1) * exp((cosine[a] - 1) / temperature) / sum;
        if (a != i && labels[a] == labels[i])
            positives +=
                share * (angular_margin(cosine[a], options->margin, false, &slope) - 1) / temperature;
        cosine[a] = a == i ? 0 : (float)((probability - share * slope) / temperature);
    }
    return log(sum) - positives;
}

Tensor *supcon_loss(Tape *tape, Tensor *x, const int64_t *labels, const SupCon *options)
{
    int64_t n = x->dim[0], dim = x->dim[1], n_anchors = 0;
    assert(n > 1 && options->temperature > 0);
    Tensor *loss = tape_tensor(tape, 1, (int64_t[]){1});
    Context *c = tape_scratch(tape, sizeof *c);
    c->unit = tape_scratch(tape, (size_t)(n * dim) * sizeof(float));
    c->norm = tape_scratch(tape, (size_t)n * sizeof(float));
    c->d_cosine = tape_scratch(tape, (size_t)(n * n) * sizeof(float)); // cosines at first
    unit_rows(x->data, n, dim, c->unit, c->norm);
    gemm(false, true, n, n, dim, 1, c->unit, dim, c->unit, dim, 0, c->d_cosine, n);
    TapeMark mark = tape_scratch_begin(tape);
    float *weights = options->class_aware ? tape_scratch(tape, (size_t)(n * n) * sizeof(float)) : NULL;
    if (weights)
        attend(tape, c->unit, labels, n, dim, weights);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t n_positives = -1; // but itself
        float *row = c->d_cosine + i * n;
        for (int64_t a = 0; a < n; a++)
            n_positives += labels[a] == labels[i];
        if (n_positives > 0)
            sum += anchor_loss(options, labels, n, i, n_positives, weights ? weights + i * n : NULL, row);
        else
            memset(row, 0, (size_t)n * sizeof(float));
        n_anchors += n_positives > 0;
    }
    tape_scratch_end(tape, mark);
    double share = 1 / (double)(n_anchors ? n_anchors : 1);
    for (int64_t k = 0; k < n * n; k++)
        c->d_cosine[k] *= (float)share;
    loss->data[0] = (float)(sum * share);
    tape_record(tape, &supcon, loss, &x, 1, c);
    return loss;
}
