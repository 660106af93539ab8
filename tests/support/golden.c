#include "golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"

struct Golden {
    char *path;
    SafeReader *reader;
    cJSON *config, *values, *tolerance, *float32_gap; // NULL where the file has none
};

char *golden_path(const char *file_name)
{
    const char *chosen = getenv("VOXLOOP_GOLDEN");
    if (chosen && *chosen && !folder_exists(chosen))
        fail_msg("VOXLOOP_GOLDEN=%s is not a folder", chosen);
    const char *folders[] = {chosen && *chosen ? chosen : VOXLOOP_SOURCE_DIR "/tests/golden",
                             chosen && *chosen ? NULL : VOXLOOP_SOURCE_DIR "/../shared/golden"};
    for (int i = 0; i < 2 && folders[i]; i++) {
        char *path = path_join(folders[i], file_name);
        if (file_exists(path))
            return path;
        mem_free(path);
    }
    return NULL;
}

bool golden_available(const char *file_name)
{
    char *path = golden_path(file_name);
    mem_free(path);
    return path != NULL;
}

static cJSON *metadata_object(const SafeReader *reader, const char *key)
{
    const char *text = safe_metadata(reader, key);
    return text ? cJSON_Parse(text) : NULL;
}

Golden *golden_open(const char *file_name)
{
    char *path = golden_path(file_name);
    if (!path) {
        print_message("SKIPPED: no %s in $VOXLOOP_GOLDEN, tests/golden or ../shared/golden\n", file_name);
        skip();
    }
    Error error = {0};
    SafeReader *reader = safe_open(path, &error);
    if (!reader)
        fail_msg("%s", error.text);
    Golden *golden = mem_zero(1, sizeof *golden);
    golden->path = path;
    golden->reader = reader;
    golden->config = metadata_object(reader, "config");
    golden->values = metadata_object(reader, "values");
    golden->tolerance = metadata_object(reader, "tolerance");
    golden->float32_gap = metadata_object(reader, "float32_gap");
    return golden;
}

static void check_known(const Golden *golden, const cJSON *object);

void golden_close(Golden *golden)
{
    if (!golden)
        return;
    check_known(golden, golden->config);
    cJSON_Delete(golden->config);
    cJSON_Delete(golden->values);
    cJSON_Delete(golden->tolerance);
    cJSON_Delete(golden->float32_gap);
    safe_close(golden->reader);
    mem_free(golden->path);
    mem_free(golden);
}

bool golden_has(const Golden *golden, const char *name)
{
    return safe_find(golden->reader, name) != NULL;
}

const SafeTensor *golden_tensor(const Golden *golden, const char *name)
{
    const SafeTensor *tensor = safe_find(golden->reader, name);
    if (!tensor)
        fail_msg("%s has no tensor %s", golden->path, name);
    return tensor;
}

const SafeTensor *golden_at(const Golden *golden, int64_t index)
{
    return index < safe_count(golden->reader) ? safe_at(golden->reader, index) : NULL;
}

const float *golden_float(const Golden *golden, const char *name)
{
    const SafeTensor *tensor = golden_tensor(golden, name);
    if (tensor->type != SAFE_F32)
        fail_msg("%s: tensor %s is not F32", golden->path, name);
    return tensor->data;
}

const int64_t *golden_integer(const Golden *golden, const char *name)
{
    const SafeTensor *tensor = golden_tensor(golden, name);
    if (tensor->type != SAFE_I64)
        fail_msg("%s: tensor %s is not I64", golden->path, name);
    return tensor->data;
}

const SafeTensor *golden_find(const Golden *golden, const char *format, ...)
{
    char name[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    return safe_find(golden->reader, name);
}

const cJSON *golden_config(const Golden *golden)
{
    if (!golden->config)
        fail_msg("%s has no config in its metadata", golden->path);
    return golden->config;
}

const cJSON *golden_values(const Golden *golden)
{
    if (!golden->values)
        fail_msg("%s has no values in its metadata", golden->path);
    return golden->values;
}

const cJSON *golden_case(const Golden *golden, const char *name)
{
    const cJSON *cases = cJSON_GetObjectItemCaseSensitive(golden_config(golden), "cases");
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(cases, name);
    if (!found)
        fail_msg("%s has no case %s", golden->path, name);
    return found;
}

enum { IS_KNOWN = 1 << 24 }; // in an item's type, above the bits that cJSON uses

const cJSON *golden_item(const cJSON *object, const char *key)
{
    cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (item)
        item->type |= IS_KNOWN;
    return item;
}

static bool as_number(const cJSON *item, double *value)
{
    *value = cJSON_IsBool(item) ? cJSON_IsTrue(item) : cJSON_IsNumber(item) ? item->valuedouble : 0;
    return cJSON_IsBool(item) || cJSON_IsNumber(item);
}

double golden_number(const cJSON *object, const char *key)
{
    double value;
    if (!as_number(golden_item(object, key), &value))
        fail_msg("the configuration of %s has no number %s", object->string ? object->string : "the set",
                 key);
    return value;
}

double golden_number_or(const cJSON *object, const char *key, double absent)
{
    return cJSON_HasObjectItem(object, key) ? golden_number(object, key) : absent;
}

const char *golden_text(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(golden_item(object, key));
    if (!text)
        fail_msg("the configuration of %s has no text %s", object->string ? object->string : "the set", key);
    return text;
}

void golden_fixed_text(const cJSON *object, const char *key, const char *value)
{
    const cJSON *item = golden_item(object, key);
    if (!item)
        return;
    char *list = cJSON_IsString(item) ? NULL : cJSON_PrintUnformatted(item);
    const char *found = list ? list : item->valuestring;
    if (strcmp(found, value) != 0)
        fail_msg("%s is %s, and ours knows %s only", key, found, value);
    cJSON_free(list);
}

void golden_fixed(const cJSON *object, const char *key, double value)
{
    double found = golden_number_or(object, key, value);
    if (fabs(found - value) > 1e-12 * fabs(value))
        fail_msg("%s is %g, and ours knows %g only", key, found, value);
}

void golden_known(const cJSON *object, ...)
{
    va_list keys;
    va_start(keys, object);
    for (const char *key; (key = va_arg(keys, const char *));)
        golden_item(object, key);
    va_end(keys);
}

// Where anything of an object is known, all of it must be.
static void check_known(const Golden *golden, const cJSON *object)
{
    const cJSON *item, *unknown = NULL;
    bool is_used = false;
    cJSON_ArrayForEach(item, object)
    {
        if (cJSON_IsObject(item))
            check_known(golden, item);
        else if (item->type & IS_KNOWN)
            is_used = true;
        else
            unknown = item;
    }
    if (is_used && unknown)
        fail_msg("%s: this test does not know what to do with %s of %s", golden->path, unknown->string,
                 object->string ? object->string : "the configuration");
}

// The entry of the tensor's group: the longest key that is the name or ends at a dot in it.
static const cJSON *group_of(const cJSON *groups, const char *name)
{
    char prefix[512];
    snprintf(prefix, sizeof prefix, "%s", name);
    for (char *end = prefix; end; end = strrchr(prefix, '.')) {
        if (end != prefix)
            *end = '\0';
        const cJSON *found = cJSON_GetObjectItemCaseSensitive(groups, prefix);
        if (found)
            return found;
    }
    return NULL;
}

double golden_tolerance(const Golden *golden, const char *name)
{
    const cJSON *tolerance = group_of(golden->tolerance, name);
    return cJSON_IsNumber(tolerance) ? tolerance->valuedouble : 0;
}

double golden_scale_floor(const Golden *golden, const char *name)
{
    const cJSON *gap = group_of(golden->float32_gap, name);
    const cJSON *floor = cJSON_GetObjectItemCaseSensitive(gap, "scale_floor");
    return cJSON_IsNumber(floor) ? floor->valuedouble : 0;
}

// The element that differs most (a NaN counts as infinitely far), and the largest |reference|.
static int64_t worst_index(const float *actual, const float *reference, int64_t n, double *worst,
                           double *scale)
{
    int64_t index = 0;
    *worst = *scale = 0;
    for (int64_t i = 0; i < n; i++) {
        double difference = fabs((double)actual[i] - (double)reference[i]);
        if (isnan(difference))
            difference = INFINITY;
        if (difference > *worst) {
            *worst = difference;
            index = i;
        }
        *scale = fmax(*scale, fabs((double)reference[i]));
    }
    return index;
}

static void check(const Golden *golden, const char *name, const float *actual, int64_t n, double tolerance,
                  double floor, bool absolute)
{
    const float *reference = golden_float(golden, name);
    int64_t n_reference = golden_tensor(golden, name)->n_elements;
    if (n != n_reference)
        fail_msg("%s: %lld values, the reference has %lld", name, (long long)n, (long long)n_reference);
    double worst, scale;
    int64_t index = worst_index(actual, reference, n, &worst, &scale);
    double unit = absolute ? 1 : fmax(scale, floor), bound = tolerance * unit;
    if (worst > bound)
        fail_msg("%s[%lld of %lld]: %.9g, the reference says %.9g; difference %.3g, %s %.3g, allowed %.3g",
                 name, (long long)index, (long long)n, (double)actual[index], (double)reference[index], worst,
                 absolute ? "absolute" : "relative", unit > 0 ? worst / unit : INFINITY, tolerance);
}

void golden_check(const Golden *golden, const char *name, const float *actual, int64_t n, double tolerance,
                  double floor)
{
    check(golden, name, actual, n, tolerance, floor, false);
}

void golden_check_gradient(const Golden *golden, const char *name, const float *actual, int64_t n,
                           double tolerance)
{
    check(golden, name, actual, n, tolerance, golden_scale_floor(golden, name), false);
}

void golden_check_group(const Golden *golden, const char *name, const float *actual, int64_t n)
{
    double tolerance = golden_tolerance(golden, name);
    if (tolerance <= 0)
        fail_msg("%s gives no tolerance for %s", golden->path, name);
    check(golden, name, actual, n, tolerance, golden_scale_floor(golden, name), false);
}

void golden_check_absolute(const Golden *golden, const char *name, const float *actual, int64_t n,
                           double bound)
{
    check(golden, name, actual, n, bound, 0, true);
}
