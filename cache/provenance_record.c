#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/threads.h"
#include "cache/provenance_run.h"
#include "cache/publish.h"

typedef struct Record {
    cJSON *json;
    bool failed; // no memory for a part of it: it must not be published
} Record;

// value becomes the object's (or the array's, with no key); NULL: it could not be made.
static void put(Record *record, cJSON *object, const char *key, cJSON *value)
{
    bool there =
        value && (key ? cJSON_AddItemToObject(object, key, value) : cJSON_AddItemToArray(object, value));
    if (!there) {
        cJSON_Delete(value);
        record->failed = true;
    }
}

static void put_text(Record *record, cJSON *object, const char *key, const char *text)
{
    char *valid = text ? text_as_utf8(text) : NULL;
    put(record, object, key, valid ? cJSON_CreateString(valid) : cJSON_CreateNull());
    mem_free(valid);
}

static void put_number(Record *record, cJSON *object, const char *key, double value)
{
    put(record, object, key, cJSON_CreateNumber(value));
}

static cJSON *put_list(Record *record, const char *key)
{
    cJSON *list = cJSON_CreateArray();
    put(record, record->json, key, list);
    return record->failed ? NULL : list;
}

// A double holds it; JSON has no other numbers. Larger seeds are written as texts.
static bool is_exact(int64_t value)
{
    return value >= -((int64_t)1 << 53) && value <= (int64_t)1 << 53;
}

static cJSON *option_json(const Option *option)
{
    char *text = option_value(option);
    cJSON *json = NULL;
    if (!text)
        json = cJSON_CreateNull();
    else if (option->type == OPTION_FLAG)
        json = cJSON_CreateBool(*(bool *)option->value);
    else if (option->type == OPTION_INTEGER && is_exact(*(int64_t *)option->value))
        json = cJSON_CreateNumber((double)*(int64_t *)option->value);
    else if (option->type == OPTION_REAL)
        json = cJSON_CreateNumber(*(double *)option->value);
    else {
        char *valid = text_as_utf8(text);
        json = cJSON_CreateString(valid);
        mem_free(valid);
    }
    mem_free(text);
    return json;
}

static void put_options(Record *record, const Program *program, OptionRole role, const char *key)
{
    cJSON *options = cJSON_CreateObject();
    const Option *option;
    for (int64_t i = 0; (option = program_option(program, i)); i++)
        if (option->role == role)
            put(record, options, option->name, option_json(option));
    put(record, record->json, key, options);
}

static void put_program(Record *record, const Program *program)
{
    put_text(record, record->json, "program", program->name);
    put_text(record, record->json, "version", VOXLOOP_VERSION);
    cJSON *command = put_list(record, "command");
    for (int i = 0; i < program->argc; i++)
        put_text(record, command, NULL, program->argv[i]);
    put_options(record, program, OPTION_SETTING, "options");
    put_options(record, program, OPTION_NEUTRAL, "neutral");
    if (program->config_file)
        put_text(record, record->json, "config_file", program->config_file);
}

// option: NULL for what no option names.
static void put_content(Record *record, cJSON *list, const Option *option, const char *path,
                        const Content *content)
{
    cJSON *item = cJSON_CreateObject();
    if (option)
        put_text(record, item, "option", option->name);
    put_text(record, item, "path", path);
    put_number(record, item, "size", (double)content->size);
    put_number(record, item, "mtime", content->modified);
    put_text(record, item, "stamp", content->stamp);
    put_text(record, item, "xxh64", content->digest[0] ? content->digest : NULL);
    put(record, list, NULL, item);
}

// What is recorded is what was there before it was read. Where it is something else now, nobody knows what
// was, and the recipe stays open.
static int put_inputs(Record *record, Provenance *run, Error *error)
{
    char recipe[17];
    bool is_certain = true;
    if (provenance_recipe(run->program, recipe, error) < 0)
        return -1;
    cJSON *list = put_list(record, "inputs");
    for (int64_t i = 0; i < run->n_inputs; i++) {
        ProvenanceInput *input = &run->inputs[i];
        if (content_has_changed(&input->content)) {
            input->content.stamp[0] = input->content.digest[0] = '\0';
            is_certain = false;
        }
        put_content(record, list, input->option, input->path, &input->content);
    }
    put_text(record, record->json, "recipe", is_certain ? recipe : NULL);
    return 0;
}

static int put_output(Record *record, cJSON *list, const Option *option, const char *path, const char *shown,
                      const char *record_path, Error *error)
{
    Content content;
    if (content_look(path, record_path, &content, error) < 0)
        return -1;
    int status = content_digest(&content, error);
    if (status == 0)
        put_content(record, list, option, shown, &content);
    content_release(&content);
    return status;
}

static int put_outputs(Record *record, const Provenance *run, const char *record_path, Error *error)
{
    cJSON *list = put_list(record, "outputs");
    const Option *option;
    for (int64_t i = 0; (option = program_option(run->program, i)); i++) {
        const char *path = provenance_path(option, OPTION_OUTPUT);
        if (path && put_output(record, list, option, path, path, record_path, error) < 0)
            return -1;
    }
    for (int64_t i = 0; i < run->n_also_wrote; i++) {
        const char *path = run->also_wrote[i];
        if (put_output(record, list, NULL, path, path_name(path), record_path, error) < 0)
            return -1;
    }
    return 0;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void put_costs(Record *record, const Program *program)
{
    time_t now = time(NULL);
    struct tm utc;
    char finished[32];
    strftime(finished, sizeof finished, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    put_text(record, record->json, "threads", threads_describe());
    put_text(record, record->json, "finished", finished);
    put_number(record, record->json, "wall_seconds", clock_seconds() - program->start_seconds);
    put_number(record, record->json, "cpu_seconds", cpu_seconds());
    put_number(record, record->json, "peak_bytes", (double)mem_peak_bytes());
}

static int make_record(Record *record, Provenance *run, const char *record_path, Error *error)
{
    put_program(record, run->program);
    if (put_inputs(record, run, error) < 0 || put_outputs(record, run, record_path, error) < 0)
        return -1;
    put_costs(record, run->program);
    return 0;
}

int provenance_publish_record(const char *path, const cJSON *json, Error *error)
{
    char *text = cJSON_Print(json);
    if (!text)
        return error_set(error, "cannot write %s: out of memory", path);
    char *line = mem_printf("%s\n", text);
    int status = publish_text(path, line, error);
    mem_free(line);
    cJSON_free(text);
    return status;
}

int provenance_publish(const Program *program, const char *artefact, Error *error)
{
    if (publish_is_through(artefact)) // /dev/null.json is no place for a record
        return 0;
    Record record = {.json = cJSON_CreateObject()};
    char *path = provenance_record_path(artefact);
    int status = record.json ? make_record(&record, provenance_of(program), path, error) : 0;
    if (status == 0 && (!record.json || record.failed))
        status = error_set(error, "cannot write %s: out of memory", path);
    if (status == 0)
        status = provenance_publish_record(path, record.json, error);
    mem_free(path);
    cJSON_Delete(record.json);
    return status;
}
