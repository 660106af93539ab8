// JSON has no NaN: what was not measured is null.
#pragma once
#include <math.h>
#include <cjson/cJSON.h>

static inline void json_add_number(cJSON *json, const char *key, double value)
{
    if (isfinite(value))
        cJSON_AddNumberToObject(json, key, value);
    else
        cJSON_AddNullToObject(json, key);
}
