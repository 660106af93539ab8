#include "score/session.h"

#include <regex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cache/pieces.h"

typedef enum SessionKind { BY_FILE, BY_FOLDER, BY_PATTERN } SessionKind;

struct SessionRule {
    char *text;
    SessionKind kind;
    regex_t pattern;
};

static int compile(SessionRule *rule, Error *error)
{
    char reason[256];
    int code = regcomp(&rule->pattern, rule->text, REG_EXTENDED);
    if (code != 0) {
        regerror(code, &rule->pattern, reason, sizeof reason);
        return error_set(error, "session `%s`: %s; it is file, folder or a POSIX extended regular expression",
                         rule->text, reason);
    }
    rule->kind = BY_PATTERN;
    return rule->pattern.re_nsub > 0
               ? 0
               : error_set(error,
                           "session `%s` has no group: put what names the session in brackets, "
                           "as in ^([^/]+)/",
                           rule->text);
}

SessionRule *session_rule_create(const char *text, Error *error)
{
    SessionRule *rule = mem_zero(1, sizeof *rule);
    rule->text = mem_strdup(text);
    if (strcmp(text, "folder") == 0)
        rule->kind = BY_FOLDER;
    else if (strcmp(text, "file") != 0 && compile(rule, error) < 0) {
        session_rule_destroy(rule);
        return NULL;
    }
    return rule;
}

void session_rule_destroy(SessionRule *rule)
{
    if (!rule)
        return;
    if (rule->kind == BY_PATTERN)
        regfree(&rule->pattern);
    mem_free(rule->text);
    mem_free(rule);
}

const char *session_rule_text(const SessionRule *rule)
{
    return rule->text;
}

// --- keys: texts that are equal for the utterances of one session

static char *file_key(const char *utt)
{
    int half;
    return mem_printf("f%.*s", (int)piece_parse(utt, &half), utt);
}

static char *folder_key(const char *utt)
{
    const char *slash = strrchr(utt, '/');
    return slash ? mem_printf("d%.*s", (int)(slash - utt), utt) : file_key(utt);
}

// An empty name is none.
static char *pattern_key(const SessionRule *rule, const char *utt, int64_t *n_unmatched)
{
    regmatch_t match[2];
    char *whole = file_key(utt), *id = whole + 1, *key = NULL; // without the mark of a half
    if (regexec(&rule->pattern, id, 2, match, 0) == 0 && match[1].rm_eo > match[1].rm_so)
        key = mem_printf("p%.*s", (int)(match[1].rm_eo - match[1].rm_so), id + match[1].rm_so);
    if (!key) {
        ++*n_unmatched;
        return whole;
    }
    mem_free(whole);
    return key;
}

typedef struct Key {
    char *text;
    int64_t index;
} Key;

static int compare_keys(const void *a, const void *b)
{
    const Key *left = a, *right = b;
    int order = strcmp(left->text, right->text);
    return order ? order : (left->index > right->index) - (left->index < right->index);
}

// Numbers equal texts alike, in their order; frees the texts. Returns how many different ones there are.
static int64_t number_keys(Key *keys, int64_t n, int64_t *numbers)
{
    int64_t count = 0;
    if (n > 0)
        qsort(keys, (size_t)n, sizeof *keys, compare_keys);
    for (int64_t i = 0; i < n; i++) {
        count += i == 0 || strcmp(keys[i].text, keys[i - 1].text) != 0;
        numbers[keys[i].index] = count - 1;
    }
    for (int64_t i = 0; i < n; i++)
        mem_free(keys[i].text);
    return count;
}

int sessions_find(const SessionRule *rule, char *const *utts, int64_t n, Sessions *sessions, Error *error)
{
    Sessions found = {mem_alloc((size_t)n, sizeof(int64_t)), mem_alloc((size_t)n, sizeof(int64_t)), n, 0, 0};
    Key *keys = mem_alloc((size_t)n, sizeof *keys);
    for (int64_t i = 0; i < n; i++)
        keys[i] = (Key){rule->kind == BY_FILE     ? file_key(utts[i])
                        : rule->kind == BY_FOLDER ? folder_key(utts[i])
                                                  : pattern_key(rule, utts[i], &found.n_unmatched),
                        i};
    found.n_sessions = number_keys(keys, n, found.of);
    int64_t n_folders = 0;
    for (int64_t i = 0; i < n && rule->kind == BY_FILE; i++)
        keys[i] = (Key){folder_key(utts[i]), i};
    if (rule->kind == BY_FILE)
        n_folders = number_keys(keys, n, found.apart);
    if (n_folders < 2)
        memcpy(found.apart, found.of, (size_t)n * sizeof(int64_t));
    mem_free(keys);
    if (n > 0 && found.n_unmatched == n) {
        sessions_release(&found);
        return error_set(error, "session `%s` is found in none of the %lld ids; the first is %s", rule->text,
                         (long long)n, utts[0]);
    }
    *sessions = found;
    return 0;
}

void sessions_release(Sessions *sessions)
{
    mem_free(sessions->of);
    mem_free(sessions->apart);
    *sessions = (Sessions){0};
}
