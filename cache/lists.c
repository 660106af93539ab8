#include "cache/lists.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/text.h"
#include "cache/foreign_labels.h"
#include "cache/names.h"

enum { NAMED_IDS = 5 }; // how many ids an error shows

// --- lines

static char *skip_blanks(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

static void trim_end(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
}

static void add_line(char ***lines, int64_t *n, int64_t *capacity, const char *line)
{
    if (*n == *capacity)
        *lines = mem_grow(*lines, (size_t)(*capacity = *capacity ? 2 * *capacity : 64), sizeof **lines);
    (*lines)[(*n)++] = mem_strdup(line);
}

int lines_load(const char *path, char ***lines, int64_t *n, Error *error)
{
    char *text, *rest, *line, **list = NULL;
    int64_t count = 0, capacity = 0;
    if (text_read(path, &text, error) < 0)
        return -1;
    for (rest = text; (line = text_next_line(&rest));) {
        line = skip_blanks(line);
        trim_end(line);
        if (*line)
            add_line(&list, &count, &capacity, line);
    }
    mem_free(text);
    *lines = list;
    *n = count;
    return 0;
}

int own_lines_split(const char *name, char *text, size_t n_bytes, char ***lines, int64_t *n, Error *error)
{
    if (memchr(text, '\0', n_bytes) || (n_bytes > 0 && text[n_bytes - 1] != '\n'))
        return error_set(error, "%s is damaged: %s; make it again", name,
                         memchr(text, '\0', n_bytes) ? "it holds a NUL byte" : "its last line is cut off");
    char **list = NULL;
    int64_t count = 0, capacity = 0;
    for (char *end; (end = strchr(text, '\n')); text = end + 1) {
        *end = '\0';
        add_line(&list, &count, &capacity, text);
    }
    *lines = list;
    *n = count;
    return 0;
}

int own_lines_load(const char *path, char ***lines, int64_t *n, Error *error)
{
    char *text;
    size_t n_bytes;
    if (file_read(path, &text, &n_bytes, error) < 0)
        return -1;
    int status = own_lines_split(path, text, n_bytes, lines, n, error);
    mem_free(text);
    return status;
}

int64_t strings_find(char *const *sorted, int64_t n, const char *text)
{
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = strcmp(text, sorted[middle]);
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

// --- pairs: two columns of text, the shape of every list here

typedef struct Pair {
    const char *first, *second; // somebody else's
    int64_t line;
} Pair;

typedef struct Pairs {
    Pair *items;
    int64_t n, capacity;
} Pairs;

static int compare_pairs(const void *left, const void *right)
{
    const Pair *a = left, *b = right;
    int order = strcmp(a->first, b->first);
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

static void pairs_add(Pairs *pairs, Pair pair)
{
    if (pairs->n == pairs->capacity) {
        pairs->capacity = pairs->capacity ? 2 * pairs->capacity : 64;
        pairs->items = mem_grow(pairs->items, (size_t)pairs->capacity, sizeof(Pair));
    }
    pairs->items[pairs->n++] = pair;
}

// By the first column, in which nothing may stand twice.
static int pairs_sort(const char *name, Pairs *pairs, Error *error)
{
    if (pairs->n > 0)
        qsort(pairs->items, (size_t)pairs->n, sizeof(Pair), compare_pairs);
    for (int64_t i = 1; i < pairs->n; i++) {
        const Pair *a = &pairs->items[i - 1], *b = &pairs->items[i];
        if (strcmp(a->first, b->first) == 0)
            return error_set(error, "%s:%lld: duplicate id %s (first on line %lld); keep one of the lines",
                             name, (long long)b->line, b->first, (long long)a->line);
    }
    return 0;
}

// --- labels

typedef struct Name {
    const char *text;
    int64_t position; // in the sorted list
} Name;

static int compare_names(const void *left, const void *right)
{
    const Name *a = left, *b = right;
    int order = strcmp(a->text, b->text);
    return order ? order : (a->position > b->position) - (a->position < b->position);
}

static int compare_positions(const void *left, const void *right)
{
    int64_t a = ((const Name *)left)->position, b = ((const Name *)right)->position;
    return (a > b) - (a < b);
}

// Numbers the labels by first appearance.
static void number_labels(const Pairs *pairs, LabelList *list)
{
    Name *names = mem_alloc((size_t)pairs->n, sizeof *names),
         *firsts = mem_alloc((size_t)pairs->n, sizeof *firsts);
    int64_t n_names = 0;
    for (int64_t i = 0; i < pairs->n; i++)
        names[i] = (Name){pairs->items[i].second, i};
    qsort(names, (size_t)pairs->n, sizeof *names, compare_names);
    for (int64_t i = 0; i < pairs->n; i++)
        if (i == 0 || strcmp(names[i].text, names[i - 1].text) != 0)
            firsts[n_names++] = names[i];
    qsort(firsts, (size_t)n_names, sizeof *firsts, compare_positions);

    list->names = mem_alloc((size_t)n_names, sizeof(char *));
    list->n_labels = n_names;
    int64_t *label_at = mem_alloc((size_t)pairs->n, sizeof *label_at); // by the position of first appearance
    for (int64_t k = 0; k < n_names; k++) {
        list->names[k] = mem_strdup(firsts[k].text);
        label_at[firsts[k].position] = k;
    }
    int64_t first = 0;
    for (int64_t i = 0; i < pairs->n; i++) {
        if (i == 0 || strcmp(names[i].text, names[i - 1].text) != 0)
            first = names[i].position;
        list->labels[names[i].position] = label_at[first];
    }
    mem_free(label_at);
    mem_free(firsts);
    mem_free(names);
}

static void labels_from_pairs(const Pairs *pairs, LabelList *list)
{
    *list = (LabelList){.n = pairs->n};
    list->utts = mem_alloc((size_t)pairs->n, sizeof(char *));
    list->labels = mem_alloc((size_t)pairs->n, sizeof(int64_t));
    for (int64_t i = 0; i < pairs->n; i++)
        list->utts[i] = mem_strdup(pairs->items[i].first);
    number_labels(pairs, list);
}

int labels_load(const char *path, char *const *known_utts, int64_t n_known, LabelList *list,
                const char **form, Error *error)
{
    Names *names = known_utts ? names_create(known_utts, n_known) : NULL;
    ForeignLabels labels;
    int status = foreign_labels_load(path, names, &labels, error);
    if (status == 0) {
        Pairs pairs = {0};
        for (int64_t i = 0; i < labels.n; i++)
            pairs_add(&pairs, (Pair){labels.items[i].utt, labels.items[i].label, labels.items[i].line});
        labels_from_pairs(&pairs, list);
        mem_free(pairs.items);
        if (form)
            *form = labels.form;
        foreign_labels_release(&labels);
    }
    names_destroy(names);
    return status;
}

// The label of ours holds no blank, so the last one separates the columns.
static int parse_own_line(const char *name, char *line, int64_t number, Pairs *pairs, Error *error)
{
    char *cut = strrchr(line, ' ');
    if (!cut || cut == line || !cut[1])
        return error_set(error, "%s:%lld: is damaged: `%.80s` is no utterance and label", name,
                         (long long)number, line);
    *cut = '\0';
    pairs_add(pairs, (Pair){line, cut + 1, number});
    return 0;
}

int labels_parse(const char *name, const char *text, LabelList *list, Error *error)
{
    char *copy = mem_strdup(text), **lines = NULL;
    int64_t n = 0;
    Pairs pairs = {0};
    int status = own_lines_split(name, copy, strlen(copy), &lines, &n, error);
    for (int64_t i = 0; i < n && status == 0; i++)
        status = parse_own_line(name, lines[i], i + 1, &pairs, error);
    if (status == 0)
        status = pairs_sort(name, &pairs, error);
    if (status == 0)
        labels_from_pairs(&pairs, list);
    mem_free(pairs.items);
    strings_free(lines, n);
    mem_free(copy);
    return status;
}

int64_t labels_find(const LabelList *list, const char *utt)
{
    return strings_find(list->utts, list->n, utt);
}

int labels_align(const LabelList *list, const char *list_name, char *const *utts, int64_t n,
                 int64_t *labels_of, Error *error)
{
    int64_t n_missing = 0;
    char examples[512] = "";
    for (int64_t i = 0; i < n; i++) {
        int64_t at = labels_find(list, utts[i]);
        if (at >= 0) {
            labels_of[i] = list->labels[at];
            continue;
        }
        size_t used = strlen(examples);
        if (n_missing++ < NAMED_IDS)
            snprintf(examples + used, sizeof examples - used, "%s%s", used ? ", " : "", utts[i]);
    }
    if (n_missing == n && list->n > 0)
        return error_set(
            error,
            "%s lacks all %lld utterances: it calls its first %s, and theirs is called %s; names are paths "
            "below the audio's folder",
            list_name, (long long)n, list->utts[0], utts[0]);
    if (n_missing > 0)
        return error_set(error, "%s lacks %lld of %lld utterances: %s%s; add them or leave the list out",
                         list_name, (long long)n_missing, (long long)n, examples,
                         n_missing > NAMED_IDS ? ", ..." : "");
    return 0;
}

int64_t labels_cover(const LabelList *list, char *const *utts, int64_t n, int64_t *labels_of)
{
    int64_t n_covered = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = labels_find(list, utts[i]);
        labels_of[i] = at < 0 ? -1 : list->labels[at];
        n_covered += at >= 0;
    }
    return n_covered;
}

void labels_release(LabelList *list)
{
    strings_free(list->utts, list->n);
    strings_free(list->names, list->n_labels);
    mem_free(list->labels);
    *list = (LabelList){0};
}

// --- wav.scp

char *listed_path(const char *list, const char *path)
{
    char *folder = path_folder(list), *beside = path_join(folder, path);
    bool is_beside = !file_exists(path) && file_exists(beside);
    mem_free(folder);
    if (is_beside)
        return beside;
    mem_free(beside);
    return mem_strdup(path);
}

static bool is_listed_file(const char *list, const char *path)
{
    char *found = listed_path(list, path);
    bool exists = file_exists(found);
    mem_free(found);
    return exists;
}

// The first blank separates the columns, or a tab behind it where only that names a file.
static int parse_scp_line(const char *path, char *line, int64_t number, Pairs *pairs, Error *error)
{
    line = skip_blanks(line);
    trim_end(line);
    char *cut = line + strcspn(line, " \t"), *tab = strchr(cut, '\t');
    if (tab > cut && !is_listed_file(path, skip_blanks(cut)) && is_listed_file(path, skip_blanks(tab)))
        cut = tab;
    char *file = skip_blanks(cut);
    *cut = '\0';
    if (!line[0] || !file[0])
        return error_set(error, "%s:%lld: expected `utterance path`, found \"%.80s\"", path,
                         (long long)number, line);
    if (file[strlen(file) - 1] == '|')
        return error_set(error,
                         "%s:%lld: %s is a shell command (it ends in |), which voxloop does not run; "
                         "write the audio to files first",
                         path, (long long)number, line);
    pairs_add(pairs, (Pair){line, file, number});
    return 0;
}

int wav_scp_load(const char *path, WavScp *scp, Error *error)
{
    char *text, *rest, *line;
    if (text_read(path, &text, error) < 0)
        return -1;
    Pairs pairs = {0};
    int status = 0;
    int64_t number = 0;
    for (rest = text; status == 0 && (line = text_next_line(&rest));) {
        number++;
        if (*skip_blanks(line))
            status = parse_scp_line(path, line, number, &pairs, error);
    }
    if (status == 0)
        status = pairs_sort(path, &pairs, error);
    if (status == 0) {
        *scp = (WavScp){mem_alloc((size_t)pairs.n, sizeof(char *)),
                        mem_alloc((size_t)pairs.n, sizeof(char *)), pairs.n};
        for (int64_t i = 0; i < pairs.n; i++) {
            scp->utts[i] = mem_strdup(pairs.items[i].first);
            scp->paths[i] = mem_strdup(pairs.items[i].second);
        }
    }
    mem_free(pairs.items);
    mem_free(text);
    return status;
}

void wav_scp_release(WavScp *scp)
{
    strings_free(scp->utts, scp->n);
    strings_free(scp->paths, scp->n);
    *scp = (WavScp){0};
}
