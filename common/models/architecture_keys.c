#include "models/architecture_keys.h"

#include <math.h>
#include <string.h>

#include "base/text.h"

bool architecture_is_whole(const cJSON *item, int64_t least, int64_t most)
{
    return cJSON_IsNumber(item) && item->valuedouble >= (double)least && item->valuedouble <= (double)most &&
           item->valuedouble == floor(item->valuedouble);
}

static int read_choice(const char *encoder, const cJSON *item, const ArchitectureKey *key, bool *value,
                       Error *error)
{
    for (int i = 0; i < 2 && cJSON_IsString(item); i++)
        if (strcmp(item->valuestring, key->choice[i]) == 0) {
            *value = i == 1;
            return 0;
        }
    return error_set(error, "%s: %s must be %s or %s", encoder, key->name, key->choice[0], key->choice[1]);
}

static int read_key(const char *encoder, const cJSON *item, const ArchitectureKey *key, char *field,
                    Error *error)
{
    switch (key->type) {
    case KEY_COUNT:
    case KEY_NUMBER:
        if (!architecture_is_whole(item, key->type == KEY_COUNT, key->most))
            return error_set(error, "%s: %s must be a whole number from %d to %lld", encoder, key->name,
                             key->type == KEY_COUNT, (long long)key->most);
        *(int64_t *)field = (int64_t)item->valuedouble;
        return 0;
    case KEY_PROBABILITY:
        if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0.0 && item->valuedouble < 1.0))
            return error_set(error, "%s: %s must be at least 0 and less than 1", encoder, key->name);
        *(double *)field = item->valuedouble;
        return 0;
    case KEY_BOOL:
        if (!cJSON_IsBool(item))
            return error_set(error, "%s: %s must be true or false", encoder, key->name);
        *(bool *)field = cJSON_IsTrue(item);
        return 0;
    case KEY_CHOICE:
        return read_choice(encoder, item, key, (bool *)field, error);
    case KEY_OTHER:
        return 0;
    }
    return -1;
}

static int unknown_key(const char *encoder, const char *name, const ArchitectureKey *keys, int n_keys,
                       Error *error)
{
    char known[512] = "";
    for (int k = 0; k < n_keys; k++)
        text_append(known, sizeof known, keys[k].name);
    return error_set(error, "%s: unknown architecture key '%s'; known are %s", encoder, name, known);
}

int architecture_read(const char *encoder, const cJSON *architecture, const ArchitectureKey *keys, int n_keys,
                      void *config, Error *error)
{
    for (const cJSON *item = architecture ? architecture->child : NULL; item; item = item->next) {
        int k = 0;
        if (strcmp(item->string, "encoder") == 0)
            continue;
        while (k < n_keys && strcmp(item->string, keys[k].name) != 0)
            k++;
        if (k == n_keys)
            return unknown_key(encoder, item->string, keys, n_keys, error);
        if (read_key(encoder, item, &keys[k], (char *)config + keys[k].offset, error) < 0)
            return -1;
    }
    return 0;
}

cJSON *architecture_value(const ArchitectureKey *key, const void *config)
{
    const char *field = (const char *)config + key->offset;
    switch (key->type) {
    case KEY_COUNT:
    case KEY_NUMBER:
        return cJSON_CreateNumber((double)*(const int64_t *)field);
    case KEY_PROBABILITY:
        return cJSON_CreateNumber(*(const double *)field);
    case KEY_BOOL:
        return cJSON_CreateBool(*(const bool *)field);
    case KEY_CHOICE:
        return cJSON_CreateString(key->choice[*(const bool *)field]);
    case KEY_OTHER:
        break;
    }
    return NULL;
}
