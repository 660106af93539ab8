// Letters: B batch, N classes, K sub-centres of a class, D embedding dimension.
#include "losses/aam_softmax.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "losses/unit_rows.h"
#include "tensor/gemm.h"

typedef struct Context {
    float *unit_x, *unit_w; // [B, D], [N K, D] rows of length 1
    float *norm_x, *norm_w; // [B], [N K]
    int64_t n, k;           // N, K
    const int32_t *nearest; // [B, N] each class's nearest sub-centre, where K > 1
    float *probability;     // [B, N] softmax of the logits
    float *slope;           // [B] d logit[b, y] / d cosine[b, y], over scale
    const int64_t *labels;  // [B] y, where the margin is
    int64_t *targets;       // [B] the class trained on; -1: the sample does not count
    float scale;
    double n_counted; // what the sum of losses is divided by
} Context;

int64_t aam_subcentres(const AamSoftmax *options)
{
    return options->subcentres > 1 ? options->subcentres : 1;
}

// logits [N] -> softmax in probability [N]; returns the cross-entropy of `label`.
static double softmax_row(const float *logits, int64_t n, int64_t label, float *probability)
{
    float largest = logits[0];
    for (int64_t k = 1; k < n; k++)
        largest = fmaxf(largest, logits[k]);
    double sum = 0;
    for (int64_t k = 0; k < n; k++) {
        probability[k] = expf(logits[k] - largest);
        sum += probability[k];
    }
    for (int64_t k = 0; k < n; k++)
        probability[k] = (float)(probability[k] / sum);
    return log(sum) - (logits[label] - largest);
}

static bool is_largest(const float *row, int64_t n, int64_t index)
{
    for (int64_t k = 0; k < n; k++)
        if (row[k] > row[index] || (row[k] == row[index] && k < index))
            return false;
    return true;
}

// d_logit = (softmax - onehot) / n_counted; d_cosine = scale * d_logit, times the slope at the label.
static void fill_d_cosine(const Context *c, int64_t batch, int64_t n, float d_loss, float *d_cosine)
{
    float factor = d_loss * c->scale / (float)c->n_counted;
#pragma omp parallel for schedule(static) if (batch * n > 65536)
    for (int64_t b = 0; b < batch; b++) {
        float *row = d_cosine + b * n;
        int64_t target = c->targets[b];
        if (target < 0) {
            memset(row, 0, (size_t)n * sizeof *row);
            continue;
        }
        for (int64_t k = 0; k < n; k++)
            row[k] = factor * c->probability[b * n + k];
        row[target] -= factor;
        row[c->labels[b]] *= c->slope[b];
    }
}

// d_cosine [B, N] of the classes -> [B, N K] of the sub-centres.
static float *spread(Tape *tape, const Context *c, int64_t batch, const float *d_cosine)
{
    float *spread_out = tape_scratch(tape, (size_t)(batch * c->n * c->k) * sizeof(float));
    memset(spread_out, 0, (size_t)(batch * c->n * c->k) * sizeof(float));
    for (int64_t i = 0; i < batch * c->n; i++)
        spread_out[i * c->k + c->nearest[i]] = d_cosine[i];
    return spread_out;
}

static void aam_softmax_backward(Tape *tape, const Node *node)
{
    const Context *c = node->context;
    Tensor *x = node->inputs[0], *w = node->inputs[1];
    int64_t batch = x->dim[0], dim = x->dim[1], n = w->dim[0];
    float *d_x = tape_grad(tape, x), *d_w = tape_grad(tape, w);
    TapeMark mark = tape_scratch_begin(tape);
    float *d_cosine = tape_scratch(tape, (size_t)(batch * c->n) * sizeof(float));
    fill_d_cosine(c, batch, c->n, node->output->grad[0], d_cosine);
    if (c->k > 1)
        d_cosine = spread(tape, c, batch, d_cosine);
    if (d_x) {
        float *d_unit = tape_scratch(tape, (size_t)(batch * dim) * sizeof(float));
        gemm(false, false, batch, dim, n, 1, d_cosine, n, c->unit_w, dim, 0, d_unit, dim);
        unit_rows_backward(c->unit_x, c->norm_x, d_unit, batch, dim, d_x);
    }
    if (d_w) {
        float *d_unit = tape_scratch(tape, (size_t)(n * dim) * sizeof(float));
        gemm(true, false, n, dim, batch, 1, d_cosine, n, c->unit_x, dim, 0, d_unit, dim);
        unit_rows_backward(c->unit_w, c->norm_w, d_unit, n, dim, d_w);
    }
    tape_scratch_end(tape, mark);
}

static const Operator aam_softmax = {"aam_softmax", aam_softmax_backward};

static Context *context_create(Tape *tape, const Tensor *x, const Tensor *w, const int64_t *labels,
                               const AamSoftmax *options)
{
    int64_t batch = x->dim[0], dim = x->dim[1], n = w->dim[0];
    Context *c = tape_scratch(tape, sizeof *c);
    *c = (Context){.k = aam_subcentres(options), .n_counted = (double)batch};
    assert(n % c->k == 0);
    c->n = n / c->k;
    c->scale = (float)options->scale;
    c->unit_x = tape_scratch(tape, (size_t)(batch * dim) * sizeof(float));
    c->unit_w = tape_scratch(tape, (size_t)(n * dim) * sizeof(float));
    c->norm_x = tape_scratch(tape, (size_t)batch * sizeof(float));
    c->norm_w = tape_scratch(tape, (size_t)n * sizeof(float));
    c->probability = tape_scratch(tape, (size_t)(batch * c->n) * sizeof(float));
    c->slope = tape_scratch(tape, (size_t)batch * sizeof(float));
    int64_t *copy = tape_scratch(tape, (size_t)batch * sizeof(int64_t));
    c->targets = tape_scratch(tape, (size_t)batch * sizeof(int64_t));
    memcpy(copy, labels, (size_t)batch * sizeof(int64_t));
    memcpy(c->targets, labels, (size_t)batch * sizeof(int64_t));
    c->labels = copy;
    return c;
}

// products [B, N K] with the sub-centres -> [B, N], each class's largest; nearest [B, N], or NULL.
static void take_largest(const float *products, int64_t n, int64_t k, float *largest, int32_t *nearest)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t best = 0;
        for (int32_t j = 1; j < k; j++)
            if (products[i * k + j] > products[i * k + best])
                best = j;
        largest[i] = products[i * k + best];
        if (nearest)
            nearest[i] = best;
    }
}

// x [B, D] times the classes' weights [N K, D] -> [B, N], the largest of each class's; nearest: see
// take_largest().
static float *multiply(Tape *tape, const Context *c, const float *x, const float *weight, int64_t batch,
                       int64_t dim, int32_t *nearest)
{
    int64_t rows = c->n * c->k;
    float *largest = tape_scratch(tape, (size_t)(batch * c->n) * sizeof(float));
    TapeMark mark = tape_scratch_begin(tape);
    float *products = c->k > 1 ? tape_scratch(tape, (size_t)(batch * rows) * sizeof(float)) : largest;
    gemm(false, true, batch, rows, dim, 1, x, dim, weight, dim, 0, products, rows);
    if (c->k > 1)
        take_largest(products, batch * c->n, c->k, largest, nearest);
    tape_scratch_end(tape, mark);
    return largest;
}

// --- the gate

// scores [N] -> the largest of softmax(scores / sharpening) and its place.
static double most_probable(const float *scores, int64_t n, double sharpening, int64_t *place)
{
    *place = 0;
    for (int64_t k = 1; k < n; k++)
        if (scores[k] > scores[*place])
            *place = k;
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        sum += exp((scores[k] - scores[*place]) / sharpening);
    return 1 / sum;
}

// Decides which samples count, and as what; returns the sum of their losses. As in the reference, a corrected
// sample keeps the margin at its old label.
static double pass_gate(Tape *tape, Context *c, const LossGate *gate, const Tensor *weight, int64_t batch,
                        AamReport *report)
{
    int64_t n = c->n;
    double sum = 0;
    TapeMark mark = tape_scratch_begin(tape);
    float *scores =
        gate->clean ? multiply(tape, c, gate->clean, weight->data, batch, weight->dim[1], NULL) : NULL;
    for (int64_t b = 0; b < batch; b++) {
        const float *logits = report->logits + b * n;
        int64_t target;
        if (log(report->losses[b]) <= gate->threshold) {
            sum += report->losses[b];
            report->n_passed++;
        } else if (scores && most_probable(scores + b * n, n, gate->sharpening, &target) > gate->confidence) {
            sum += report->losses[b] + logits[c->labels[b]] - logits[target];
            c->targets[b] = target;
            report->n_corrected++;
        } else {
            c->targets[b] = -1;
        }
    }
    tape_scratch_end(tape, mark);
    c->n_counted = scores ? (double)batch : fmax((double)report->n_passed, 1);
    return sum;
}

Tensor *aam_softmax_loss(Tape *tape, Tensor *embeddings, Tensor *weight, const int64_t *labels,
                         const AamSoftmax *options, AamReport *report)
{
    int64_t batch = embeddings->dim[0], dim = embeddings->dim[1];
    assert(weight->dim[1] == dim && batch > 0);
    Tensor *loss = tape_tensor(tape, 1, (int64_t[]){1});
    Context *c = context_create(tape, embeddings, weight, labels, options);
    int64_t n = c->n;
    float *losses = tape_scratch(tape, (size_t)batch * sizeof(float));
    int32_t *nearest = c->k > 1 ? tape_scratch(tape, (size_t)(batch * n) * sizeof(int32_t)) : NULL;
    c->nearest = nearest;
    unit_rows(embeddings->data, batch, dim, c->unit_x, c->norm_x);
    unit_rows(weight->data, weight->dim[0], dim, c->unit_w, c->norm_w);
    float *logits = multiply(tape, c, c->unit_x, c->unit_w, batch, dim, nearest); // cosines at first

    int64_t n_right = 0, n_right_with_margin = 0;
    double sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : n_right, n_right_with_margin) if (batch * n > 65536)
    for (int64_t b = 0; b < batch; b++) {
        float *row = logits + b * n;
        assert(labels[b] >= 0 && labels[b] < n);
        n_right += is_largest(row, n, labels[b]);
        double slope;
        row[labels[b]] = (float)angular_margin(row[labels[b]], options->margin, options->easy_margin, &slope);
        c->slope[b] = (float)slope;
        n_right_with_margin += is_largest(row, n, labels[b]);
        for (int64_t k = 0; k < n; k++)
            row[k] *= c->scale;
        losses[b] = (float)softmax_row(row, n, labels[b], c->probability + b * n);
    }
    AamReport seen = {.accuracy = (double)n_right / (double)batch,
                      .accuracy_with_margin = (double)n_right_with_margin / (double)batch,
                      .losses = losses,
                      .logits = logits,
                      .targets = c->targets};
    for (int64_t b = 0; b < batch && !options->gate; b++)
        sum += losses[b];
    if (options->gate)
        sum = pass_gate(tape, c, options->gate, weight, batch, &seen);
    else
        seen.n_passed = batch;
    loss->data[0] = (float)(sum / c->n_counted);
    tape_record(tape, &aam_softmax, loss, (Tensor *[]){embeddings, weight}, 2, c);
    if (report)
        *report = seen;
    return loss;
}
