#include "report/json_file.h"

#include <math.h>

#include "base/files.h"
#include "base/memory.h"

int json_load(const char *path, cJSON **json, Error *error)
{
    *json = NULL;
    if (!file_exists(path))
        return 0;
    char *text;
    size_t n_bytes;
    if (file_read(path, &text, &n_bytes, error) != 0)
        return -1;
    *json = cJSON_ParseWithLength(text, n_bytes);
    mem_free(text);
    if (!cJSON_IsObject(*json)) {
        cJSON_Delete(*json);
        *json = NULL;
        return error_set(error, "%s is not a JSON object; remove it and run its stage again", path);
    }
    return 0;
}

double json_number(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}
