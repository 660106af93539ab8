// Reference vectors for golden tests: one safetensors file per topic, made by the public reference
// implementations. Sizes and hyper-parameters come from the file's metadata, never from the test.
//
//     Golden *golden = golden_open("ecapa.safetensors");      // skips the test, aloud, where there is none
//     const cJSON *config = golden_config(golden);            // {"channels": 64, ...}
//     const float *x = golden_float(golden, "in.x");
//     ... compute ...
//     golden_check_group(golden, "out.eval.pool", pool, n);   // tolerance and floor as the file says
//     golden_close(golden);
//
// A file is looked for in $VOXLOOP_GOLDEN alone if that is set, else in tests/golden, then in
// ../shared/golden. Whatever is missing inside a file fails the test with the tensor's name.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "cache/safetensors.h"

typedef struct Golden Golden;

bool golden_available(const char *file_name);
char *golden_path(const char *file_name); // NULL: nowhere; the caller frees with mem_free()
Golden *golden_open(const char *file_name);
void golden_close(Golden *golden);

bool golden_has(const Golden *golden, const char *name);
const SafeTensor *golden_tensor(const Golden *golden, const char *name);
const SafeTensor *golden_at(const Golden *golden, int64_t index); // in the file's order; NULL behind the last
const float *golden_float(const Golden *golden, const char *name);     // fails unless F32
const int64_t *golden_integer(const Golden *golden, const char *name); // fails unless I64
// The same by a pattern, e.g. golden_find(golden, "in.%s.x", case_name); NULL where there is none.
const SafeTensor *golden_find(const Golden *golden, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// The metadata's JSON objects. config and values fail the test where they are absent.
const cJSON *golden_config(const Golden *golden);
const cJSON *golden_values(const Golden *golden);
const cJSON *golden_case(const Golden *golden,
                         const char *name); // config.cases.<name>; fails where it is absent

// Every value of a configuration counts: where anything of an object is read, golden_close() fails for a key
// that was neither read nor said to be known by one of these. So a set with another hyper-parameter, or with
// one more, is computed with it or refused, never ignored. config.<key>; fails the test where it is absent or
// no number (a truth value is 0 or 1) or no text.
double golden_number(const cJSON *object, const char *key);
const char *golden_text(const cJSON *object, const char *key);
double golden_number_or(const cJSON *object, const char *key, double absent);
const cJSON *golden_item(const cJSON *object, const char *key); // of any type; NULL where there is none
// Ours knows this value only: a number or truth value, a text, or a list as JSON writes it. Another fails;
// absent is fine.
void golden_fixed_text(const cJSON *object, const char *key, const char *value);
void golden_fixed(const cJSON *object, const char *key, double value);
// Keys, up to a NULL, that say in words how the file was made, or what the shapes of its tensors say as well.
void golden_known(const cJSON *object, ...) __attribute__((sentinel));

// The group of a tensor is the longest key of `tolerance` that is the name or ends at a dot in it:
// "grad.conv1.weight" belongs to "grad", "out.eval.pool" to "out.eval". 0 where the file gives none.
double golden_tolerance(const Golden *golden, const char *name);
double golden_scale_floor(const Golden *golden, const char *name); // float32_gap.<group>.scale_floor

// max|actual - ref| <= tolerance * max(max|ref|, floor), and the sizes agree. A failure names the tensor, the
// worst index, both values and the relative error. NaN fails.
void golden_check(const Golden *golden, const char *name, const float *actual, int64_t n, double tolerance,
                  double floor);
// With the file's own floor (what gradients need).
void golden_check_gradient(const Golden *golden, const char *name, const float *actual, int64_t n,
                           double tolerance);
// With the file's own tolerance and floor.
void golden_check_group(const Golden *golden, const char *name, const float *actual, int64_t n);
// max|actual - ref| <= bound, in absolute terms.
void golden_check_absolute(const Golden *golden, const char *name, const float *actual, int64_t n,
                           double bound);
