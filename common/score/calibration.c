#include "score/calibration.h"

#include <math.h>
#include <stdio.h>

#include <cjson/cJSON.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/publish.h"

enum { MOST_STEPS = 100 };
// On the scale of scores with deviation 1: without it, separable scores would send the scale to infinity.
static const double RIDGE = 1e-6, CONVERGED = 1e-10;

// log(1 + exp(x)) without overflow
static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

// --- logistic regression on z = (score - mean) / deviation

typedef struct Fit {
    const double *scores;
    const bool *targets;
    int64_t n;
    double mean, deviation;
    double weight[2]; // of a nontarget and of a target
} Fit;

static double z_of(const Fit *fit, int64_t i)
{
    return (fit->scores[i] - fit->mean) / fit->deviation;
}

static double objective(const Fit *fit, double a, double b)
{
    double sum = RIDGE * a * a / 2;
    for (int64_t i = 0; i < fit->n; i++) {
        double llr = a * z_of(fit, i) + b;
        sum += fit->weight[fit->targets[i]] * softplus(fit->targets[i] ? -llr : llr);
    }
    return sum;
}

// Newton's direction at (a, b): minus the inverse Hessian times the gradient.
static void newton_step(const Fit *fit, double a, double b, double *d_a, double *d_b)
{
    double g_a = RIDGE * a, g_b = 0, h_aa = RIDGE, h_ab = 0, h_bb = 1e-12;
    for (int64_t i = 0; i < fit->n; i++) {
        double z = z_of(fit, i), p = 1 / (1 + exp(-(a * z + b))), w = fit->weight[fit->targets[i]];
        double g = w * (p - fit->targets[i]), h = w * p * (1 - p);
        g_a += g * z;
        g_b += g;
        h_aa += h * z * z;
        h_ab += h * z;
        h_bb += h;
    }
    double determinant = h_aa * h_bb - h_ab * h_ab;
    *d_a = -(h_bb * g_a - h_ab * g_b) / determinant;
    *d_b = -(h_aa * g_b - h_ab * g_a) / determinant;
}

static void minimise(const Fit *fit, double *a, double *b)
{
    double value = objective(fit, *a, *b);
    for (int step = 0; step < MOST_STEPS; step++) {
        double d_a, d_b, length = 1, next;
        newton_step(fit, *a, *b, &d_a, &d_b);
        while ((next = objective(fit, *a + length * d_a, *b + length * d_b)) > value && length > 1e-6)
            length /= 2;
        if (!(next < value))
            return;
        *a += length * d_a;
        *b += length * d_b;
        if (value - next < CONVERGED * value)
            return;
        value = next;
    }
}

// In units of the largest score, whose square may be beyond a double.
static Fit prepare(const double *scores, const bool *targets, int64_t n)
{
    Fit fit = {.scores = scores, .targets = targets, .n = n};
    double unit = 0, sum = 0, squares = 0, n_target = 0;
    for (int64_t i = 0; i < n; i++) {
        unit = fmax(unit, fabs(scores[i]));
        n_target += targets[i];
    }
    unit = unit > 0 ? unit : 1;
    for (int64_t i = 0; i < n; i++)
        sum += scores[i] / unit;
    for (int64_t i = 0; i < n; i++)
        squares += (scores[i] / unit - sum / (double)n) * (scores[i] / unit - sum / (double)n);
    fit.mean = sum / (double)n * unit;
    fit.deviation = sqrt(squares / (double)n) * unit;
    fit.weight[true] = 0.5 / n_target;
    fit.weight[false] = 0.5 / ((double)n - n_target);
    return fit;
}

int calibration_fit(const double *scores, const bool *targets, int64_t n, Calibration *calibration,
                    bool *separable, Error *error)
{
    DetCurve curve;
    if (det_curve_create(scores, targets, n, &curve, error) < 0)
        return -1;
    *separable = det_eer(&curve, NULL) == 0;
    det_curve_release(&curve);
    Fit fit = prepare(scores, targets, n);
    double a = 0, b = 0;
    if (fit.deviation > 0)
        minimise(&fit, &a, &b);
    if (!(a > 0))
        return error_set(error,
                         "target trials do not score higher than nontarget ones: nothing to calibrate");
    Calibration made = {a / fit.deviation, b - a * (fit.mean / fit.deviation)};
    if (!isfinite(made.scale) || !isfinite(made.offset) || !(made.scale > 0))
        return error_set(error, "the scores are too large or too alike to calibrate");
    *calibration = made;
    return 0;
}

void calibration_apply(const Calibration *calibration, double *scores, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        scores[i] = calibration->scale * scores[i] + calibration->offset;
}

// --- its file

int calibration_publish(const char *path, const Calibration *calibration, Error *error)
{
    PublishFile *file = publish_open(path, error);
    if (!file)
        return -1;
    fprintf(publish_stream(file), "{\"scale\": %.17g, \"offset\": %.17g}\n", calibration->scale,
            calibration->offset);
    return publish_commit(file, error);
}

int calibration_load(const char *path, Calibration *calibration, Error *error)
{
    char *text;
    size_t n_bytes;
    if (file_read(path, &text, &n_bytes, error) < 0)
        return -1;
    cJSON *json = cJSON_ParseWithLength(text, n_bytes);
    const cJSON *scale = cJSON_GetObjectItemCaseSensitive(json, "scale");
    const cJSON *offset = cJSON_GetObjectItemCaseSensitive(json, "offset");
    bool good = cJSON_IsNumber(scale) && cJSON_IsNumber(offset) && isfinite(scale->valuedouble) &&
                isfinite(offset->valuedouble) && scale->valuedouble > 0;
    if (good)
        *calibration = (Calibration){scale->valuedouble, offset->valuedouble};
    cJSON_Delete(json);
    mem_free(text);
    if (!good)
        return error_set(error,
                         "%s is no calibration (JSON with a positive \"scale\" and an \"offset\"); "
                         "voxloop-evaluate --calibrate writes one",
                         path);
    return 0;
}

// --- costs

double cllr(const double *llrs, const bool *targets, int64_t n)
{
    double sum[2] = {0}, count[2] = {0};
    for (int64_t i = 0; i < n; i++) {
        sum[targets[i]] += softplus(targets[i] ? -llrs[i] : llrs[i]);
        count[targets[i]]++;
    }
    return (sum[true] / count[true] + sum[false] / count[false]) / (2 * M_LN2);
}

// A stretch of scores that the best increasing map sends to one value: the shares of targets and nontargets
// in it, whose ratio is its likelihood ratio.
typedef struct Block {
    double targets, nontargets;
} Block;

static double block_cost(const Block *block)
{
    double cost = 0;
    if (block->targets > 0)
        cost += block->targets * log2(1 + block->nontargets / block->targets);
    if (block->nontargets > 0)
        cost += block->nontargets * log2(1 + block->targets / block->nontargets);
    return cost / 2;
}

// Pool adjacent violators (Ayer et al. 1955).
double cllr_min(const DetCurve *curve)
{
    Block *blocks = mem_alloc((size_t)curve->n, sizeof(Block));
    int64_t n = 0;
    double fnr = 0, fpr = 1, cost = 0;
    for (int64_t i = 0; i < curve->n; i++) {
        Block block = {curve->points[i].fnr - fnr, fpr - curve->points[i].fpr};
        fnr = curve->points[i].fnr;
        fpr = curve->points[i].fpr;
        // the ratio must grow: targets / nontargets of the last block < that of the new one
        while (n > 0 &&
               blocks[n - 1].targets * block.nontargets >= block.targets * blocks[n - 1].nontargets) {
            n--;
            block.targets += blocks[n].targets;
            block.nontargets += blocks[n].nontargets;
        }
        blocks[n++] = block;
    }
    for (int64_t i = 0; i < n; i++)
        cost += block_cost(&blocks[i]);
    mem_free(blocks);
    return cost;
}

double actual_dcf(const double *llrs, const bool *targets, int64_t n, double p_target)
{
    double threshold = log((1 - p_target) / p_target), errors[2] = {0}, count[2] = {0};
    for (int64_t i = 0; i < n; i++) {
        bool accepted = llrs[i] > threshold;
        errors[targets[i]] += accepted != targets[i];
        count[targets[i]]++;
    }
    double cost = p_target * errors[true] / count[true] + (1 - p_target) * errors[false] / count[false];
    return cost / fmin(p_target, 1 - p_target);
}
