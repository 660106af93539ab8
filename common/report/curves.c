#include "report/curves.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "score/metrics.h"

void curve_release(Curve *curve)
{
    mem_free(curve->x);
    mem_free(curve->y);
    *curve = (Curve){0};
}

static void curve_add(Curve *curve, double x, double y)
{
    if ((curve->n & (curve->n - 1)) == 0) { // capacity is the next power of two
        size_t capacity = curve->n ? 2 * (size_t)curve->n : 1;
        curve->x = mem_grow(curve->x, capacity, sizeof *curve->x);
        curve->y = mem_grow(curve->y, capacity, sizeof *curve->y);
    }
    curve->x[curve->n] = x;
    curve->y[curve->n++] = y;
}

// --- losses

// Means of equal runs of neighbours; the last run may be shorter.
static void curve_thin(Curve *curve)
{
    int64_t run = (curve->n + CURVE_POINTS - 1) / CURVE_POINTS, kept = 0;
    for (int64_t start = 0; run > 1 && start < curve->n; start += run) {
        int64_t end = start + run < curve->n ? start + run : curve->n;
        double x = 0, y = 0;
        for (int64_t i = start; i < end; i++)
            x += curve->x[i], y += curve->y[i];
        curve->x[kept] = x / (double)(end - start);
        curve->y[kept++] = y / (double)(end - start);
    }
    if (run > 1)
        curve->n = kept;
}

// True when the line has both "step <number>" and "loss <number>", wherever they stand.
static bool parse_loss(const char *line, double *step, double *loss)
{
    const char *at_step = strstr(line, "step "), *at_loss = strstr(line, " loss ");
    return at_step && at_loss && sscanf(at_step, "step %lf", step) == 1 &&
           sscanf(at_loss, " loss %lf", loss) == 1;
}

int curve_of_losses(const char *path, Curve *curve, Error *error)
{
    char *text, *rest;
    size_t n_bytes;
    if (file_read(path, &text, &n_bytes, error) != 0)
        return -1;
    *curve = (Curve){0};
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        double step, loss;
        if (!parse_loss(line, &step, &loss))
            continue;
        while (curve->n > 0 && curve->x[curve->n - 1] >= step)
            curve->n--;
        curve_add(curve, step, loss);
    }
    curve_thin(curve);
    mem_free(text);
    return 0;
}

// --- DET

typedef struct ScoreList {
    double *scores; // [n]
    bool *targets;  // [n]
    int64_t n, n_targets;
} ScoreList;

// From the end, whatever the names before hold.
static int parse_score(char *line, double *score, bool *target)
{
    char *label = strrchr(line, ' '), *end = NULL;
    if (!label)
        return -1;
    *label++ = '\0';
    char *number = strrchr(line, ' ');
    if (!number || !memchr(line, ' ', (size_t)(number - line)))
        return -1;
    *score = strtod(number + 1, &end);
    if (end == number + 1 || *end || !isfinite(*score))
        return -1;
    *target = strcmp(label, "target") == 0 || strcmp(label, "1") == 0;
    return *target || strcmp(label, "nontarget") == 0 || strcmp(label, "0") == 0 ? 0 : -1;
}

static int scores_read(const char *path, char *text, ScoreList *list, Error *error)
{
    size_t n_lines = 1;
    for (const char *c = text; *c; c++)
        n_lines += *c == '\n';
    list->scores = mem_try_alloc(n_lines, sizeof *list->scores, "the scores", error);
    list->targets = mem_try_alloc(n_lines, sizeof *list->targets, "the trials' labels", error);
    if (!list->scores || !list->targets)
        return -1;
    int64_t number = 1;
    for (char *line = text, *next; line; line = next, number++) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (*line == '\0')
            continue;
        if (parse_score(line, &list->scores[list->n], &list->targets[list->n]) != 0)
            return error_set(error, "%s:%lld: expected `enrol test score target|nontarget`", path,
                             (long long)number);
        list->n_targets += list->targets[list->n++];
    }
    return 0;
}

// The ends of the curve, where an error is 0 or 1, have no place on normal-deviate axes.
static int det_of_scores(const ScoreList *list, Curve *curve, Error *error)
{
    DetCurve det;
    if (det_curve_create(list->scores, list->targets, list->n, &det, error) != 0)
        return -1;
    int64_t kept[CURVE_POINTS];
    int64_t n = det_thin(&det, CURVE_POINTS, kept);
    for (int64_t i = 0; i < n; i++) {
        const DetPoint *point = &det.points[kept[i]];
        if (point->fpr > 0 && point->fpr < 1 && point->fnr > 0 && point->fnr < 1)
            curve_add(curve, point->fpr, point->fnr);
    }
    det_curve_release(&det);
    return 0;
}

int curve_of_scores(const char *path, Curve *curve, Error *error)
{
    char *text;
    size_t n_bytes;
    if (file_read(path, &text, &n_bytes, error) != 0)
        return -1;
    *curve = (Curve){0};
    ScoreList list = {0};
    int status = scores_read(path, text, &list, error);
    if (status == 0 && list.n_targets > 0 && list.n_targets < list.n)
        status = det_of_scores(&list, curve, error);
    mem_free(list.scores);
    mem_free(list.targets);
    mem_free(text);
    return status;
}
