// What a cosine between two embeddings of a model means: thresholds and a map to log-likelihood ratios,
// learnt on scored trials, and the trials' name, so that nobody takes them for more than they are. It travels
// in the model's metadata ("operating_point", a JSON object).
#pragma once
#include <stdint.h>
#include <cjson/cJSON.h>

#include "base/error.h"
#include "score/calibration.h"

enum { OPERATING_FALSE_ALARMS = 3 };
extern const double operating_false_alarms[OPERATING_FALSE_ALARMS]; // 0.1, 0.01, 0.001

typedef struct OperatingPoint {
    char trials[512]; // where they come from
    int64_t n_target, n_nontarget;
    double eer, eer_threshold;                 // a fraction, and the cosine above which it is one voice
    double thresholds[OPERATING_FALSE_ALARMS]; // at these false-alarm rates
    double misses[OPERATING_FALSE_ALARMS];     // what share of targets is then missed
    Calibration calibration;                   // llr = scale * cosine + offset, natural logarithm
} OperatingPoint;

// scores: lines `enrol test score target|nontarget` as voxloop-evaluate leaves them, of plain cosines.
int operating_point_learn(const char *scores, OperatingPoint *point, Error *error);
cJSON *operating_point_json(const OperatingPoint *point); // a new object
int operating_point_parse(const char *text, OperatingPoint *point, Error *error);
// The threshold for a false-alarm rate that is among the known ones; an error names those.
int operating_point_at(const OperatingPoint *point, double false_alarm, double *threshold, Error *error);

// A copy of the model at `path` with the point in its metadata, published as `out`.
int operating_point_publish(const char *path, const OperatingPoint *point, const char *out, Error *error);
