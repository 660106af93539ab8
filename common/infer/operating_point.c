#include "infer/operating_point.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/safetensors.h"
#include "score/metrics.h"

static const char *const KEY = "operating_point";
const double operating_false_alarms[OPERATING_FALSE_ALARMS] = {0.1, 0.01, 0.001};

// --- learning

typedef struct Scored {
    double *scores;
    bool *targets;
    int64_t n, n_target;
} Scored;

// One line, `enrol test score target|nontarget`: its last two fields count.
static int take_line(const char *path, int64_t number, char *line, Scored *s, Error *error)
{
    char *kind = strrchr(line, ' '), *end;
    if (kind)
        *kind++ = 0;
    char *score = kind ? strrchr(line, ' ') : NULL;
    double value = score ? strtod(score + 1, &end) : NAN;
    bool target = kind && strcmp(kind, "target") == 0;
    if (!score || *end || !isfinite(value) || (!target && strcmp(kind, "nontarget") != 0))
        return error_set(error,
                         "%s:%lld: expected `enrol test score target|nontarget`, as voxloop-evaluate writes",
                         path, (long long)number);
    s->scores = mem_grow(s->scores, (size_t)s->n + 1, sizeof(double));
    s->targets = mem_grow(s->targets, (size_t)s->n + 1, sizeof(bool));
    s->scores[s->n] = value;
    s->targets[s->n++] = target;
    s->n_target += target;
    return 0;
}

static int read_scores(const char *path, Scored *s, Error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set_errno(error, "cannot read %s", path);
    char *line = NULL;
    size_t size = 0;
    int status = 0;
    ssize_t length;
    for (int64_t number = 1; status == 0 && (length = getline(&line, &size, file)) > 0; number++) {
        line[strcspn(line, "\n")] = 0;
        status = take_line(path, number, line, s, error);
    }
    free(line);
    fclose(file);
    if (status == 0 && (s->n_target == 0 || s->n_target == s->n))
        status = error_set(error, "%s: a threshold needs trials of both kinds, and all are %s", path,
                           s->n_target ? "targets" : "nontargets");
    return status;
}

// The lowest threshold at which no more than this share of nontargets is accepted.
static const DetPoint *point_at(const DetCurve *curve, double false_alarm)
{
    for (int64_t i = 0; i < curve->n; i++)
        if (curve->points[i].fpr <= false_alarm)
            return &curve->points[i];
    return &curve->points[curve->n - 1];
}

static int learn(const Scored *s, OperatingPoint *point, Error *error)
{
    DetCurve curve;
    bool separable;
    if (calibration_fit(s->scores, s->targets, s->n, &point->calibration, &separable, error) < 0 ||
        det_curve_create(s->scores, s->targets, s->n, &curve, error) < 0)
        return -1;
    point->n_target = s->n_target;
    point->n_nontarget = s->n - s->n_target;
    point->eer = det_eer(&curve, &point->eer_threshold);
    for (int i = 0; i < OPERATING_FALSE_ALARMS; i++) {
        const DetPoint *at = point_at(&curve, operating_false_alarms[i]);
        point->thresholds[i] = at->threshold;
        point->misses[i] = at->fnr;
    }
    det_curve_release(&curve);
    return 0;
}

int operating_point_learn(const char *path, OperatingPoint *point, Error *error)
{
    Scored s = {0};
    *point = (OperatingPoint){0};
    snprintf(point->trials, sizeof point->trials, "%s", path);
    int status = read_scores(path, &s, error);
    if (status == 0 && (status = learn(&s, point, error)) < 0)
        error_prefix(error, "%s", path);
    mem_free(s.scores);
    mem_free(s.targets);
    return status;
}

// --- as JSON

cJSON *operating_point_json(const OperatingPoint *p)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "trials", p->trials);
    cJSON_AddNumberToObject(json, "n_target", (double)p->n_target);
    cJSON_AddNumberToObject(json, "n_nontarget", (double)p->n_nontarget);
    cJSON_AddNumberToObject(json, "eer", p->eer);
    cJSON_AddNumberToObject(json, "eer_threshold", p->eer_threshold);
    cJSON_AddItemToObject(json, "thresholds", cJSON_CreateDoubleArray(p->thresholds, OPERATING_FALSE_ALARMS));
    cJSON_AddItemToObject(json, "misses", cJSON_CreateDoubleArray(p->misses, OPERATING_FALSE_ALARMS));
    cJSON_AddNumberToObject(json, "scale", p->calibration.scale);
    cJSON_AddNumberToObject(json, "offset", p->calibration.offset);
    return json;
}

// false: not there, or no finite number.
static bool number_of(const cJSON *item, double *value)
{
    *value = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    return isfinite(*value);
}

static bool numbers_of(const cJSON *array, double values[OPERATING_FALSE_ALARMS])
{
    bool fine = cJSON_IsArray(array) && cJSON_GetArraySize(array) == OPERATING_FALSE_ALARMS;
    for (int i = 0; fine && i < OPERATING_FALSE_ALARMS; i++)
        fine = number_of(cJSON_GetArrayItem(array, i), &values[i]);
    return fine;
}

int operating_point_parse(const char *text, OperatingPoint *p, Error *error)
{
    cJSON *json = cJSON_Parse(text);
    const cJSON *trials = cJSON_GetObjectItemCaseSensitive(json, "trials");
    double n_target, n_nontarget;
    *p = (OperatingPoint){0};
    bool fine = cJSON_IsString(trials) &&
                number_of(cJSON_GetObjectItemCaseSensitive(json, "n_target"), &n_target) &&
                number_of(cJSON_GetObjectItemCaseSensitive(json, "n_nontarget"), &n_nontarget) &&
                number_of(cJSON_GetObjectItemCaseSensitive(json, "eer"), &p->eer) &&
                number_of(cJSON_GetObjectItemCaseSensitive(json, "eer_threshold"), &p->eer_threshold) &&
                number_of(cJSON_GetObjectItemCaseSensitive(json, "scale"), &p->calibration.scale) &&
                number_of(cJSON_GetObjectItemCaseSensitive(json, "offset"), &p->calibration.offset) &&
                numbers_of(cJSON_GetObjectItemCaseSensitive(json, "thresholds"), p->thresholds) &&
                numbers_of(cJSON_GetObjectItemCaseSensitive(json, "misses"), p->misses) &&
                fabs(n_target) < 1e15 && fabs(n_nontarget) < 1e15;
    if (fine) {
        snprintf(p->trials, sizeof p->trials, "%s", trials->valuestring);
        p->n_target = (int64_t)n_target;
        p->n_nontarget = (int64_t)n_nontarget;
    }
    cJSON_Delete(json);
    return fine ? 0 : error_set(error, "its operating point is damaged; `voxloop calibrate` makes it again");
}

int operating_point_at(const OperatingPoint *point, double false_alarm, double *threshold, Error *error)
{
    for (int i = 0; i < OPERATING_FALSE_ALARMS; i++)
        if (fabs(false_alarm - operating_false_alarms[i]) < 1e-9) {
            *threshold = point->thresholds[i];
            return 0;
        }
    return error_set(error, "the model has thresholds for false-alarm rates of 0.1, 0.01 and 0.001, not %g",
                     false_alarm);
}

// --- in a model

static int64_t copy_metadata(const SafeReader *reader, SafeMetadata *metadata)
{
    int64_t n = 0;
    const char *key, *value;
    for (int64_t i = 0; (key = safe_metadata_at(reader, i, &value)); i++)
        if (strcmp(key, KEY) != 0 && strcmp(key, "digest") != 0 && strcmp(key, "writer") != 0)
            metadata[n++] = (SafeMetadata){key, value};
    return n;
}

int operating_point_publish(const char *path, const OperatingPoint *point, const char *out, Error *error)
{
    SafeReader *reader = safe_open(path, error);
    if (!reader)
        return -1;
    int64_t n_tensors = safe_count(reader), n_keys = 0;
    const char *value;
    while (safe_metadata_at(reader, n_keys, &value))
        n_keys++;
    SafeTensor *tensors = mem_alloc((size_t)n_tensors + 1, sizeof *tensors);
    SafeMetadata *metadata = mem_alloc((size_t)n_keys + 1, sizeof *metadata);
    for (int64_t i = 0; i < n_tensors; i++)
        tensors[i] = *safe_at(reader, i);
    cJSON *json = operating_point_json(point);
    char *text = cJSON_PrintUnformatted(json);
    int64_t n = copy_metadata(reader, metadata);
    metadata[n++] = (SafeMetadata){KEY, text};
    int status = text ? safe_publish(out, tensors, n_tensors, metadata, n, error)
                      : error_set(error, "%s: no memory for the operating point", out);
    cJSON_free(text);
    cJSON_Delete(json);
    mem_free(metadata);
    mem_free(tensors);
    safe_close(reader);
    return status;
}
