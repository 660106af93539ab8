// JSON files of a WORK folder.
#pragma once
#include <cjson/cJSON.h>

#include "base/error.h"

// The object in the file; *json is NULL when there is no such file. What is no JSON object is an error. The
// caller deletes it.
int json_load(const char *path, cJSON **json, Error *error);
double json_number(const cJSON *json, const char *key); // NAN: not there, or no number
