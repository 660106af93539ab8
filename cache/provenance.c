#include "cache/provenance.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/threads.h"
#include "cache/publish.h"

static double cpu_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// {"path": ..., "xxh64": ...}; NULL after error_set().
static cJSON *describe_file(const char *path, Error *error)
{
    char digest[17];
    char *table = path_join(path, "utts.tsv");
    const char *hashed = folder_exists(path) ? table : path;
    bool by_name = hashed == table && !file_exists(table);
    cJSON *item = NULL;
    if (by_name || file_digest(hashed, digest, error) == 0) {
        item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "path", by_name ? path : hashed);
        if (by_name)
            cJSON_AddNullToObject(item, "xxh64");
        else
            cJSON_AddStringToObject(item, "xxh64", digest);
    }
    mem_free(table);
    return item;
}

static int add_inputs(cJSON *record, const char *const *inputs, Error *error)
{
    cJSON *list = cJSON_AddArrayToObject(record, "inputs");
    for (; *inputs; inputs++) {
        cJSON *item = describe_file(*inputs, error);
        if (!item)
            return -1;
        cJSON_AddItemToArray(list, item);
    }
    return 0;
}

static void add_program(cJSON *record, const Program *program)
{
    cJSON_AddStringToObject(record, "program", program->name);
    cJSON_AddStringToObject(record, "version", VOXLOOP_VERSION);
    cJSON *command = cJSON_AddArrayToObject(record, "command");
    for (int i = 0; i < program->argc; i++)
        cJSON_AddItemToArray(command, cJSON_CreateString(program->argv[i]));
    char *options = program_options_json(program);
    cJSON_AddItemToObject(record, "options", cJSON_Parse(options));
    mem_free(options);
    if (program->config_file)
        cJSON_AddStringToObject(record, "config_file", program->config_file);
}

static void add_costs(cJSON *record, const Program *program)
{
    time_t now = time(NULL);
    struct tm utc;
    char finished[32];
    strftime(finished, sizeof finished, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    cJSON_AddStringToObject(record, "threads", threads_describe());
    cJSON_AddStringToObject(record, "finished", finished);
    cJSON_AddNumberToObject(record, "wall_seconds", clock_seconds() - program->start_seconds);
    cJSON_AddNumberToObject(record, "cpu_seconds", cpu_seconds());
    cJSON_AddNumberToObject(record, "peak_bytes", (double)mem_peak_bytes());
}

int provenance_publish(const Program *program, const char *artefact, const char *const *inputs, Error *error)
{
    if (publish_is_through(artefact)) // /dev/null.json is no place for a record
        return 0;
    cJSON *record = cJSON_CreateObject();
    cJSON *output = describe_file(artefact, error);
    int status = output ? 0 : -1;
    if (output)
        cJSON_AddItemToObject(record, "artefact", output);
    if (status == 0)
        status = add_inputs(record, inputs, error);
    if (status == 0) {
        add_program(record, program);
        add_costs(record, program);
        char *json = cJSON_Print(record), *text = mem_printf("%s\n", json);
        char *path = mem_printf("%s.json", artefact);
        status = publish_text(path, text, error);
        mem_free(path);
        mem_free(text);
        cJSON_free(json);
    }
    cJSON_Delete(record);
    return status;
}
