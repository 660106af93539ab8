// Letters: B samples, K prototypes, V student views, J teacher views.
//
// Cross-entropy is linear in the target, so the targets of one student row are summed first:
//
//     sum over j != i of CE(p[j], q[i]) = n_i lse_i - <target_i, s_i> / T,   target_i = sum over j != i of
//     p[j]
//
// with s_i the student's logits, lse_i = ln sum_k exp(s_i / T) and n_i the number of such j. Hence
// d s_i = (n_i q[i] - target_i) / T, over the number of pairs and samples.
#include "losses/dino.h"

#include <assert.h>
#include <math.h>

#include "tensor/vecmath.h"

typedef struct Context {
    DinoLoss options;
    const float *target; // [J * B, K] the teacher's probabilities
    float *lse;          // [V * B]
    int64_t n_samples, n_pairs;
} Context;

// p = softmax((x - center) / temperature); returns its entropy in nats.
static double sharpen_row(const float *x, const float *center, int64_t n, double temperature, float *p)
{
    float scale = (float)(1 / temperature), largest = -INFINITY;
#pragma omp simd reduction(max : largest)
    for (int64_t k = 0; k < n; k++) {
        p[k] = (x[k] - center[k]) * scale;
        largest = fmaxf(largest, p[k]);
    }
    double sum = 0, weighted = 0;
#pragma omp simd reduction(+ : sum, weighted)
    for (int64_t k = 0; k < n; k++) {
        float z = p[k] - largest;
        p[k] = fast_exp(z);
        sum += p[k];
        weighted += (double)p[k] * z;
    }
    for (int64_t k = 0; k < n; k++)
        p[k] = (float)(p[k] / sum);
    return log(sum) - weighted / sum;
}

static double log_sum_exp(const float *x, int64_t n, double temperature)
{
    float scale = (float)(1 / temperature), largest = -INFINITY;
#pragma omp simd reduction(max : largest)
    for (int64_t k = 0; k < n; k++)
        largest = fmaxf(largest, x[k] * scale);
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < n; k++)
        sum += fast_exp(x[k] * scale - largest);
    return largest + log(sum);
}

// In this order whatever the threads did: the same bits in every run.
static double mean_of(const double *values, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += values[i];
    return sum / (double)n;
}

static double mean_deviation(Tape *tape, const float *p, int64_t rows, int64_t n)
{
    if (rows < 2)
        return 0;
    double *deviation = tape_scratch(tape, (size_t)n * sizeof(double));
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < n; k++) {
        double mean = 0, squares = 0;
        for (int64_t r = 0; r < rows; r++)
            mean += p[r * n + k];
        mean /= (double)rows;
        for (int64_t r = 0; r < rows; r++)
            squares += (p[r * n + k] - mean) * (p[r * n + k] - mean);
        deviation[k] = sqrt(squares / (double)(rows - 1));
    }
    return mean_of(deviation, n);
}

// sum over teacher views j != view of <p[j], s>; returns how many such views there are in *n_targets.
static double target_product(const Context *c, const float *s, int64_t view, int64_t sample, int64_t n,
                             int64_t *n_targets)
{
    double sum = 0;
    *n_targets = 0;
    for (int64_t j = 0; j < c->options.n_teacher_views; j++) {
        if (j == view)
            continue;
        const float *p = c->target + (j * c->n_samples + sample) * n;
#pragma omp simd reduction(+ : sum)
        for (int64_t k = 0; k < n; k++)
            sum += (double)p[k] * s[k];
        ++*n_targets;
    }
    return sum;
}

static void backward_row(const Context *c, const float *s, int64_t row, int64_t n, float factor, float *d_s)
{
    int64_t view = row / c->n_samples, sample = row % c->n_samples, n_targets = 0;
    for (int64_t j = 0; j < c->options.n_teacher_views; j++) {
        if (j == view)
            continue;
        const float *p = c->target + (j * c->n_samples + sample) * n;
        for (int64_t k = 0; k < n; k++)
            d_s[k] -= factor * p[k];
        n_targets++;
    }
    float scale = (float)(1 / c->options.student_temperature), lse = c->lse[row];
    for (int64_t k = 0; k < n; k++)
        d_s[k] += factor * (float)n_targets * fast_exp(s[k] * scale - lse);
}

static void dino_backward(Tape *tape, const Node *node)
{
    const Context *c = node->context;
    Tensor *student = node->inputs[0];
    float *d_student = tape_grad(tape, student);
    if (!d_student)
        return;
    int64_t rows = student->dim[0], n = student->dim[1];
    double terms = (double)(c->n_pairs * c->n_samples);
    float factor = (float)(node->output->grad[0] / (terms * c->options.student_temperature));
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++)
        backward_row(c, student->data + row * n, row, n, factor, d_student + row * n);
}

static const Operator dino = {"dino", dino_backward};

// Fills target with the teacher's probabilities; returns their mean entropy.
static double sharpen_teacher(Tape *tape, const Tensor *teacher, const float *center, double temperature,
                              float *target)
{
    int64_t rows = teacher->dim[0], n = teacher->dim[1];
    double *entropy = tape_scratch(tape, (size_t)rows * sizeof(double));
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++)
        entropy[row] = sharpen_row(teacher->data + row * n, center, n, temperature, target + row * n);
    return mean_of(entropy, rows);
}

Tensor *dino_loss(Tape *tape, Tensor *student, const Tensor *teacher, const float *center,
                  const DinoLoss *options, DinoReport *report)
{
    int64_t rows = student->dim[0], n = student->dim[1], n_views = options->n_student_views;
    assert(n_views > 1 && rows % n_views == 0 && teacher->dim[1] == n);
    assert(options->n_teacher_views >= 1 && options->n_teacher_views <= n_views);
    assert(teacher->dim[0] == rows / n_views * options->n_teacher_views);
    Tensor *loss = tape_tensor(tape, 1, (int64_t[]){1});
    float *target = tape_scratch(tape, (size_t)tensor_size(teacher) * sizeof(float));
    Context *c = tape_scratch(tape, sizeof *c);
    *c = (Context){.options = *options,
                   .target = target,
                   .lse = tape_scratch(tape, (size_t)rows * sizeof(float)),
                   .n_samples = rows / n_views,
                   .n_pairs = options->n_teacher_views * (n_views - 1)};
    double entropy = sharpen_teacher(tape, teacher, center, options->teacher_temperature, target);

    double temperature = options->student_temperature;
    double *losses = tape_scratch(tape, (size_t)rows * sizeof(double));
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        const float *s = student->data + row * n;
        int64_t n_targets;
        double product = target_product(c, s, row / c->n_samples, row % c->n_samples, n, &n_targets);
        double lse = log_sum_exp(s, n, temperature);
        c->lse[row] = (float)lse;
        losses[row] = (double)n_targets * lse - product / temperature;
    }
    loss->data[0] = (float)(mean_of(losses, rows) * (double)n_views / (double)c->n_pairs);
    tape_record(tape, &dino, loss, (Tensor *[]){student}, 1, c);
    if (report)
        *report = (DinoReport){entropy, mean_deviation(tape, target, teacher->dim[0], n)};
    return loss;
}

void dino_center_update(float *center, const Tensor *teacher, double momentum)
{
    int64_t rows = teacher->dim[0], n = teacher->dim[1];
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < n; k++) {
        double sum = 0;
        for (int64_t row = 0; row < rows; row++)
            sum += teacher->data[row * n + k];
        center[k] = (float)(momentum * center[k] + (1 - momentum) * sum / (double)rows);
    }
}
