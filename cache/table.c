#include "cache/table.h"

#include <ctype.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/memory.h"
#include "base/text.h"

// --- what columns are called

enum { LONGEST_NAME = 32 };

// Letters and digits alone, in lower case: "Speaker ID" and "speaker_id" are one name.
static void plain_name(const char *name, char plain[LONGEST_NAME])
{
    int n = 0;
    for (; *name && n < LONGEST_NAME - 1; name++)
        if (isalnum((unsigned char)*name))
            plain[n++] = (char)tolower((unsigned char)*name);
    plain[n] = '\0';
}

static bool is_one_of(const char *name, const char *const *known, size_t n)
{
    char plain[LONGEST_NAME];
    plain_name(name, plain);
    for (size_t i = 0; i < n; i++)
        if (strcmp(plain, known[i]) == 0)
            return true;
    return false;
}

bool table_is_utt_column(const char *name)
{
    static const char *const KNOWN[] = {
        "file",    "filename",  "filepath",    "path",        "wav",           "wavpath",
        "wavfile", "audio",     "audiopath",   "audiofile",   "audiofilepath", "utt",
        "uttid",   "utterance", "utteranceid", "id",          "key",           "name",
        "segment", "segmentid", "recording",   "recordingid", "clip"};
    return is_one_of(name, KNOWN, sizeof KNOWN / sizeof KNOWN[0]);
}

bool table_is_label_column(const char *name)
{
    static const char *const KNOWN[] = {"speaker", "speakerid", "spk",      "spkid",  "label",    "labels",
                                        "class",   "client",    "clientid", "person", "identity", "cluster"};
    return is_one_of(name, KNOWN, sizeof KNOWN / sizeof KNOWN[0]);
}

// --- delimited text

static void add_field(char ***fields, int64_t *n, int64_t *capacity, char *field)
{
    if (*n == *capacity)
        *fields = mem_grow(*fields, (size_t)(*capacity = *capacity ? 2 * *capacity : 16), sizeof(char *));
    (*fields)[(*n)++] = field;
}

// Takes the quotes off a field that begins with one, in place; *rest stands behind the closing quote then.
// False: it is never closed.
static bool unquote(char **rest, int64_t *n_lines)
{
    char *out = *rest, *at = *rest + 1;
    for (; *at; at++) {
        if (*at == '"' && at[1] == '"')
            at++;
        else if (*at == '"')
            break;
        *n_lines += *at == '\n';
        *out++ = *at;
    }
    if (!*at)
        return false;
    *rest = at + 1;
    memset(out, '\0', (size_t)(at + 1 - out));
    return true;
}

// The fields of the record at *rest, cut out in place. *n_lines: of text used. False: a quote is not closed.
static bool take_record(char **rest, char separator, char ***fields, int64_t *n, int64_t *capacity,
                        int64_t *n_lines)
{
    const char ends[] = {separator, '\n', '\0'};
    for (char *at = *rest;;) {
        char *field = at;
        if (*at == '"' && !unquote(&at, n_lines))
            return false;
        at += strcspn(at, ends);
        char end = *at;
        if (end != separator && at > field && at[-1] == '\r')
            at[-1] = '\0';
        *at = '\0';
        add_field(fields, n, capacity, field);
        at += end != '\0';
        if (end == separator)
            continue;
        *n_lines += end == '\n';
        *rest = at;
        return true;
    }
}

// --- which kind of table it is

static bool has_known_column(char **fields, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (table_is_utt_column(fields[i]) || table_is_label_column(fields[i]))
            return true;
    return false;
}

// JSON lines, or JSON that should have been.
static bool begins_with_json(const char *text)
{
    const char *end = NULL;
    cJSON *json = *text == '{' || *text == '[' ? cJSON_ParseWithOpts(text, &end, false) : NULL;
    bool parsed = json != NULL;
    cJSON_Delete(json);
    return parsed;
}

char table_separator(const char *text)
{
    static const char SEPARATORS[] = ",\t;";
    text += strspn(text, "\r\n \t");
    if (begins_with_json(text))
        return '{';
    for (const char *separator = SEPARATORS; *separator; separator++) {
        char *line = mem_printf("%.*s", (int)strcspn(text, "\n"), text), *rest = line, **fields = NULL;
        int64_t n = 0, capacity = 0, n_lines = 0;
        bool header = take_record(&rest, *separator, &fields, &n, &capacity, &n_lines) && n > 1 &&
                      has_known_column(fields, n);
        mem_free(fields);
        mem_free(line);
        if (header)
            return *separator;
    }
    return '\0';
}

// --- reading

static int next_object(Table *table, Error *error)
{
    char *line;
    cJSON_Delete(table->object);
    table->object = NULL;
    do {
        if (!(line = text_next_line(&table->rest)))
            return 0;
        table->line = table->next_line++;
    } while (!line[strspn(line, " \t")]);
    table->object = cJSON_Parse(line);
    if (!cJSON_IsObject(table->object))
        return error_set(
            error,
            "%s:%lld: is no JSON object on a line of its own; what is read is JSON lines, an object "
            "per utterance and line (jq -c .)",
            table->path, (long long)table->line);
    return 1;
}

static void take_keys(Table *table)
{
    table->n_columns = cJSON_GetArraySize(table->object);
    table->columns = mem_zero((size_t)table->n_columns + 1, sizeof(char *));
    table->fields = mem_zero((size_t)table->n_columns + 1, sizeof(char *));
    const cJSON *item = ((const cJSON *)table->object)->child;
    for (int64_t i = 0; item; item = item->next)
        table->columns[i++] = mem_strdup(item->string);
    table->first = true;
}

// Strings as they are, numbers as they are written, others not at all.
static void take_values(Table *table)
{
    for (int64_t i = 0; i < table->n_columns; i++) {
        cJSON *item = cJSON_GetObjectItemCaseSensitive(table->object, table->columns[i]);
        char *number = cJSON_IsNumber(item) ? cJSON_PrintUnformatted(item) : NULL;
        const char *text = number ? number : cJSON_GetStringValue(item);
        mem_free(table->fields[i]);
        table->fields[i] = text ? mem_strdup(text) : NULL;
        cJSON_free(number);
    }
}

// Delimited text: the fields of the next record that holds something, *n of them.
static int next_record(Table *table, int64_t *n, Error *error)
{
    do {
        *n = 0;
        table->line = table->next_line;
        if (!*table->rest)
            return 0;
        if (!take_record(&table->rest, table->separator, &table->fields, n, &table->capacity,
                         &table->next_line))
            return error_set(error, "%s:%lld: a quote is opened and never closed", table->path,
                             (long long)table->line);
    } while (*n == 1 && !table->fields[0][strspn(table->fields[0], " \t")]);
    return 1;
}

int table_open(Table *table, const char *path, char *text, char separator, Error *error)
{
    *table = (Table){.path = path, .separator = separator, .rest = text, .next_line = 1};
    int status = separator == '{' ? next_object(table, error) : next_record(table, &table->n_columns, error);
    if (status <= 0)
        return status < 0 ? -1 : error_set(error, "%s is empty", path);
    if (separator == '{')
        return take_keys(table), 0;
    table->columns = mem_zero((size_t)table->n_columns + 1, sizeof(char *));
    for (int64_t i = 0; i < table->n_columns; i++)
        table->columns[i] = mem_strdup(table->fields[i]);
    return 0;
}

int table_next(Table *table, Error *error)
{
    int64_t n = table->n_columns;
    if (table->separator == '{') {
        int status = table->first ? 1 : next_object(table, error);
        table->first = false;
        if (status == 1)
            take_values(table);
        return status;
    }
    int status = next_record(table, &n, error);
    if (status == 1 && n != table->n_columns)
        return error_set(
            error, "%s:%lld: %lld fields, where the header has %lld; quote those that hold a `%c`",
            table->path, (long long)table->line, (long long)n, (long long)table->n_columns, table->separator);
    return status;
}

void table_close(Table *table)
{
    for (int64_t i = 0; i < table->n_columns && table->columns; i++) {
        mem_free(table->columns[i]);
        if (table->separator == '{')
            mem_free(table->fields[i]);
    }
    mem_free(table->columns);
    mem_free(table->fields);
    cJSON_Delete(table->object);
    *table = (Table){0};
}
