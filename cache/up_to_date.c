#include "cache/up_to_date.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/provenance_run.h"

enum { SOMETHING_TO_DO = 3 }; // exit status of --check --if-changed

// A record as it is compared. Stamps that are no more as recorded are put into it; then it is published anew.
typedef struct Recorded {
    const Program *program;
    const char *artefact;
    char *path;
    cJSON *json;
    bool is_renewed;
} Recorded;

static const char *text_at(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

static bool is_same(const char *a, const char *b)
{
    return a[0] && strcmp(a, b) == 0;
}

static cJSON *load(const char *path)
{
    char *text;
    size_t n_bytes;
    if (!file_exists(path) || file_read(path, &text, &n_bytes, NULL) < 0)
        return NULL;
    cJSON *json = cJSON_ParseWithLength(text, n_bytes);
    mem_free(text);
    return json;
}

static void renew_number(cJSON *item, const char *key, double value)
{
    cJSON_ReplaceItemInObjectCaseSensitive(item, key, cJSON_CreateNumber(value));
}

// The bytes are as recorded, the stamp is not.
static void renew(Recorded *r, cJSON *item, const char *path, const Content *content)
{
    renew_number(item, "size", (double)content->size);
    renew_number(item, "mtime", content->modified);
    cJSON_ReplaceItemInObjectCaseSensitive(item, "stamp", cJSON_CreateString(content->stamp));
    cJSON_ReplaceItemInObjectCaseSensitive(item, "path", cJSON_CreateString(path));
    r->is_renewed = true;
}

// --- outputs

static const Option *find_option(const Program *program, const char *name)
{
    const Option *option;
    for (int64_t i = 0; (option = program_option(program, i)); i++)
        if (strcmp(option->name, name) == 0)
            return option;
    return NULL;
}

// Where the output of a record's item is now; NULL: nowhere. The caller frees.
static char *place_of(const Recorded *r, const cJSON *item)
{
    const char *name = text_at(item, "option");
    if (name[0]) {
        const Option *option = find_option(r->program, name);
        const char *path = option ? provenance_path(option, OPTION_OUTPUT) : NULL;
        return path ? mem_strdup(path) : NULL;
    }
    char *folder = path_folder(r->artefact), *path = path_join(folder, text_at(item, "path"));
    mem_free(folder);
    return path;
}

static bool output_is_whole(Recorded *r, cJSON *item, const char *path)
{
    Content content;
    if (content_look(path, r->path, &content, NULL) < 0)
        return false;
    bool same = is_same(content.stamp, text_at(item, "stamp"));
    if (!same && content_digest(&content, NULL) == 0 && is_same(content.digest, text_at(item, "xxh64"))) {
        same = true;
        if (content.stamp[0])
            renew(r, item, text_at(item, "option")[0] ? path : path_name(path), &content);
    }
    content_release(&content);
    return same;
}

static bool outputs_are_whole(Recorded *r)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(r->json, "outputs"), *item;
    bool whole = cJSON_GetArraySize(list) > 0;
    cJSON_ArrayForEach(item, list)
    {
        char *path = whole ? place_of(r, item) : NULL;
        whole = path && output_is_whole(r, item, path);
        mem_free(path);
    }
    return whole;
}

// --- inputs and the recipe

static cJSON *find_input(const Recorded *r, const char *option)
{
    cJSON *item;
    cJSON_ArrayForEach(
        item, cJSON_GetObjectItemCaseSensitive(r->json, "inputs")) if (strcmp(text_at(item, "option"),
                                                                              option) == 0) return item;
    return NULL;
}

// An input whose stamp is as recorded need not be read: its digest is as recorded, too.
static void adopt_digest(Content *content, const cJSON *item)
{
    const char *digest = text_at(item, "xxh64");
    if (!content->digest[0] && strlen(digest) + 1 == sizeof content->digest &&
        is_same(content->stamp, text_at(item, "stamp")))
        memcpy(content->digest, digest, sizeof content->digest);
}

static bool inputs_are_there(Recorded *r)
{
    Provenance *run = provenance_of(r->program);
    for (int64_t i = 0; i < run->n_inputs; i++) {
        Content *content = &run->inputs[i].content;
        cJSON *item = find_input(r, run->inputs[i].option->name);
        if (!item || !content->path || !content->readable)
            return false;
        adopt_digest(content, item);
    }
    return true;
}

static bool recipe_is_same(Recorded *r)
{
    char recipe[17];
    if (!inputs_are_there(r) || provenance_recipe(r->program, recipe, NULL) < 0 ||
        !is_same(recipe, text_at(r->json, "recipe")))
        return false;
    Provenance *run = provenance_of(r->program);
    for (int64_t i = 0; i < run->n_inputs; i++) {
        const Content *content = &run->inputs[i].content;
        cJSON *item = find_input(r, run->inputs[i].option->name);
        if (content->stamp[0] && strcmp(content->stamp, text_at(item, "stamp")) != 0)
            renew(r, item, run->inputs[i].path, content);
    }
    return true;
}

static bool record_fits(const Program *program, const char *artefact)
{
    Recorded r = {.program = program, .artefact = artefact, .path = provenance_record_path(artefact)};
    r.json = load(r.path);
    bool fits = r.json && outputs_are_whole(&r) && recipe_is_same(&r);
    if (fits && r.is_renewed && !program->check)
        provenance_publish_record(r.path, r.json,
                                  NULL); // where it cannot be written, the next run reads again
    cJSON_Delete(r.json);
    mem_free(r.path);
    return fits;
}

void options_checked(const Program *program)
{
    if (program->check && !program->if_changed)
        exit(0);
}

bool up_to_date(const Program *program, const char *artefact)
{
    options_checked(program);
    provenance_begin(program);
    if (program->check)
        exit(artefact && record_fits(program, artefact) ? 0 : SOMETHING_TO_DO);
    if (!program->if_changed)
        return false;
    if (artefact && record_fits(program, artefact))
        return true;
    program_announce(program);
    return false;
}
