#include "losses/plain.h"

#include <assert.h>
#include <math.h>

typedef struct Slope {
    float *slope; // d loss / d input, of the input's size
} Slope;

static void constant_slope_backward(Tape *tape, const Node *node)
{
    const Slope *c = node->context;
    float *d_x = tape_grad(tape, node->inputs[0]), d_loss = node->output->grad[0];
    for (int64_t i = 0; i < tensor_size(node->inputs[0]); i++)
        d_x[i] += d_loss * c->slope[i];
}

static const Operator cross_entropy = {"cross_entropy", constant_slope_backward};
static const Operator squared_distance = {"squared_distance", constant_slope_backward};

static Tensor *record(Tape *tape, const Operator *op, Tensor *x, float *slope, double loss)
{
    Tensor *output = tape_tensor(tape, 1, (int64_t[]){1});
    Slope *c = tape_scratch(tape, sizeof *c);
    c->slope = slope;
    output->data[0] = (float)loss;
    tape_record(tape, op, output, &x, 1, c);
    return output;
}

Tensor *cross_entropy_loss(Tape *tape, Tensor *logits, const int64_t *labels)
{
    int64_t rows = logits->dim[0], n = logits->dim[1];
    float *slope = tape_scratch(tape, (size_t)(rows * n) * sizeof(float));
    double total = 0;
    for (int64_t b = 0; b < rows; b++) {
        const float *row = logits->data + b * n;
        double largest = row[0], sum = 0;
        assert(labels[b] >= 0 && labels[b] < n);
        for (int64_t k = 1; k < n; k++)
            largest = fmax(largest, row[k]);
        for (int64_t k = 0; k < n; k++)
            sum += exp(row[k] - largest);
        for (int64_t k = 0; k < n; k++)
            slope[b * n + k] = (float)((exp(row[k] - largest) / sum - (k == labels[b])) / (double)rows);
        total += log(sum) - (row[labels[b]] - largest);
    }
    return record(tape, &cross_entropy, logits, slope, total / (double)rows);
}

Tensor *squared_distance_loss(Tape *tape, Tensor *x, const float *target)
{
    int64_t size = tensor_size(x), rows = x->dim[0];
    float *slope = tape_scratch(tape, (size_t)size * sizeof(float));
    double total = 0;
    for (int64_t i = 0; i < size; i++) {
        double difference = (double)x->data[i] - target[i];
        slope[i] = (float)(2 * difference / (double)rows);
        total += difference * difference;
    }
    return record(tape, &squared_distance, x, slope, total / (double)rows);
}
