#include "nn/mismatch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void list_name(NameList *list, const char *name)
{
    size_t used = strlen(list->text), room = sizeof list->text - used;
    if (strlen(name) + 8 < room)
        snprintf(list->text + used, room, "%s%s", used ? ", " : "", name);
    else if (room > 5 && (used < 4 || strcmp(list->text + used - 3, "...") != 0))
        snprintf(list->text + used, room, " ...");
    list->n++;
}

int mismatch_check(const Mismatch *m, const char *path, Error *error)
{
    char text[900] = "";
    const struct {
        const char *kind;
        const NameList *list;
    } kinds[] = {{"missing", &m->missing}, {"surplus", &m->surplus}, {"of another shape", &m->misshapen}};
    for (int k = 0; k < 3; k++) {
        size_t used = strlen(text);
        if (kinds[k].list->n)
            snprintf(text + used, sizeof text - used, "%s%" PRId64 " %s (%s)", used ? ", " : "",
                     kinds[k].list->n, kinds[k].kind, kinds[k].list->text);
    }
    return text[0] ? error_set(error, "%s does not fit the model: tensors %s", path, text) : 0;
}

int check_finite(const char *path, const char *name, const float *values, int64_t n, Error *error)
{
    for (int64_t i = 0; i < n; i++)
        if (!(values[i] - values[i] == 0))
            return error_set(error,
                             "%s: tensor %s holds a NaN or an infinity at %" PRId64
                             "; its training diverged, or it was damaged or converted badly",
                             path, name, i);
    return 0;
}
