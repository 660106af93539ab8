#include "train/architecture.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "models/encoder.h"

static const NamedArchitecture *find(const char *name, const EncoderKind **kind)
{
    for (int k = 0; (*kind = encoder_kind(k)); k++)
        for (const NamedArchitecture *a = (*kind)->architectures; a->name; a++)
            if (strcmp(name, a->name) == 0)
                return a;
    return NULL;
}

const char *architecture_names(void)
{
    static char *names; // made once; options' tables point to it
    const EncoderKind *kind;
    if (names)
        return names;
    names = mem_strdup("");
    for (int k = 0; (kind = encoder_kind(k)); k++)
        for (const NamedArchitecture *a = kind->architectures; a->name; a++) {
            char *longer = mem_printf("%s%s%s", names, names[0] ? "|" : "", a->name);
            mem_free(names);
            names = longer;
        }
    return names;
}

static cJSON *value_of(const char *text)
{
    char *end;
    double number = strtod(text, &end);
    if (*text && !*end)
        return cJSON_CreateNumber(number);
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return cJSON_CreateBool(text[0] == 't');
    return cJSON_CreateString(text);
}

int architecture_override(cJSON *architecture, const char *settings, Error *error)
{
    char *copy = mem_strdup(settings ? settings : ""), *rest = NULL;
    int status = 0;
    for (char *item = strtok_r(copy, ",", &rest); item && status == 0; item = strtok_r(NULL, ",", &rest)) {
        char *equals = strchr(item, '=');
        if (!equals || equals == item) {
            status = error_set(error, "architecture: '%s' is not key=value", item);
            break;
        }
        *equals = '\0';
        cJSON_DeleteItemFromObjectCaseSensitive(architecture, item); // the last one wins
        cJSON_AddItemToObject(architecture, item, value_of(equals + 1));
    }
    mem_free(copy);
    return status;
}

cJSON *architecture_parse(const char *name, const char *settings, Error *error)
{
    const EncoderKind *kind;
    const NamedArchitecture *named = find(name, &kind);
    if (!named) {
        error_set(error, "encoder %s is not known; there are %s", name, architecture_names());
        return NULL;
    }
    bool small = !settings || strcmp(settings, "small") == 0;
    cJSON *architecture = cJSON_CreateObject();
    cJSON_AddStringToObject(architecture, "encoder", kind->name);
    if (architecture_override(architecture, named->fixed, error) == 0 &&
        architecture_override(architecture, small ? named->small : settings, error) == 0)
        return architecture;
    cJSON_Delete(architecture);
    return NULL;
}
