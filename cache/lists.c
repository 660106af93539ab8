#include "cache/lists.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"

enum { NAMED_IDS = 5 }; // how many ids an error shows

// --- lines

// Cuts the next line off *text, without its end; NULL at the end of the text.
static char *next_line(char **text)
{
    char *line = *text;
    if (!*line)
        return NULL;
    char *end = strchr(line, '\n');
    *text = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    size_t length = strlen(line);
    if (length > 0 && line[length - 1] == '\r')
        line[length - 1] = '\0';
    return line;
}

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

int lines_load(const char *path, char ***lines, int64_t *n, Error *error)
{
    char *data;
    size_t n_bytes;
    if (file_read(path, &data, &n_bytes, error) < 0)
        return -1;
    char **list = NULL, *rest = data, *line;
    int64_t count = 0, capacity = 0;
    while ((line = next_line(&rest))) {
        line = skip_blanks(line);
        trim_end(line);
        if (!*line)
            continue;
        if (count == capacity)
            list = mem_grow(list, (size_t)(capacity = capacity ? 2 * capacity : 64), sizeof *list);
        list[count++] = mem_strdup(line);
    }
    mem_free(data);
    *lines = list;
    *n = count;
    return 0;
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
    char *first, *second; // inside the text
    int64_t line;
} Pair;

typedef struct Pairs {
    Pair *items;
    int64_t n;
} Pairs;

static int compare_pairs(const void *left, const void *right)
{
    return strcmp(((const Pair *)left)->first, ((const Pair *)right)->first);
}

// Splits text (which is changed) at the first blank or comma of each line and sorts by the first column.
static int pairs_parse(const char *name, char *text, char separator, bool swap, Pairs *pairs, Error *error)
{
    char *line;
    int64_t capacity = 0, number = 0;
    *pairs = (Pairs){0};
    while ((line = next_line(&text))) {
        number++;
        line = skip_blanks(line);
        trim_end(line);
        if (!*line)
            continue;
        char *cut = separator == ',' ? strrchr(line, ',') : line + strcspn(line, " \t");
        if (!cut || !*cut || cut == line) {
            mem_free(pairs->items);
            return error_set(error, "%s:%lld: expected two columns, found \"%.80s\"", name, (long long)number,
                             line);
        }
        *cut = '\0';
        char *second = skip_blanks(cut + 1);
        trim_end(line);
        if (pairs->n == capacity)
            pairs->items =
                mem_grow(pairs->items, (size_t)(capacity = capacity ? 2 * capacity : 64), sizeof(Pair));
        pairs->items[pairs->n++] = swap ? (Pair){second, line, number} : (Pair){line, second, number};
    }
    if (pairs->n > 0)
        qsort(pairs->items, (size_t)pairs->n, sizeof(Pair), compare_pairs);
    for (int64_t i = 1; i < pairs->n; i++) {
        const Pair *a = &pairs->items[i - 1], *b = &pairs->items[i];
        if (strcmp(a->first, b->first) == 0) {
            int64_t low = a->line < b->line ? a->line : b->line, high = a->line + b->line - low;
            error_set(error, "%s:%lld: duplicate id %s (first on line %lld); keep one of the lines", name,
                      (long long)high, b->first, (long long)low);
            mem_free(pairs->items);
            return -1;
        }
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

// `File,Speaker` has a comma and a header line; else the column that known_utts knows is the utterance.
static char detect_separator(const char *text)
{
    size_t length = strcspn(text, "\n");
    return memchr(text, ',', length) && !memchr(text, ' ', length) && !memchr(text, '\t', length) ? ',' : ' ';
}

static bool second_column_is_utt(const char *text, char *const *known_utts, int64_t n_known)
{
    if (!known_utts)
        return false;
    char *line = mem_printf("%.*s", (int)strcspn(text, "\r\n"), text), *cut = line + strcspn(line, " \t");
    bool swap = false;
    if (*cut) {
        *cut = '\0';
        char *second = skip_blanks(cut + 1);
        trim_end(second);
        swap = strings_find(known_utts, n_known, line) < 0 && strings_find(known_utts, n_known, second) >= 0;
    }
    mem_free(line);
    return swap;
}

int labels_load(const char *path, char *const *known_utts, int64_t n_known, LabelList *list,
                const char **form, Error *error)
{
    char *data;
    size_t n_bytes;
    if (file_read(path, &data, &n_bytes, error) < 0)
        return -1;
    char separator = detect_separator(data), *text = data;
    bool swap = separator == ' ' && second_column_is_utt(data, known_utts, n_known);
    if (separator == ',' && strncasecmp(text, "file,", 5) == 0)
        text += strcspn(text, "\n");
    Pairs pairs;
    int status = pairs_parse(path, text, separator, swap, &pairs, error);
    if (status == 0 && pairs.n == 0)
        status = error_set(error, "%s is empty; expected lines `utterance speaker`", path);
    if (status == 0) {
        labels_from_pairs(&pairs, list);
        mem_free(pairs.items);
        if (form)
            *form = separator == ',' ? "File,Speaker" : swap ? "speaker utterance" : "utterance speaker";
    }
    mem_free(data);
    return status;
}

int labels_parse(const char *name, const char *text, LabelList *list, Error *error)
{
    char *copy = mem_strdup(text);
    Pairs pairs;
    int status = pairs_parse(name, copy, ' ', false, &pairs, error);
    if (status == 0) {
        labels_from_pairs(&pairs, list);
        mem_free(pairs.items);
    }
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
    if (n_missing > 0)
        return error_set(error, "%s lacks %lld of %lld utterances: %s%s; add them or leave the list out",
                         list_name, (long long)n_missing, (long long)n, examples,
                         n_missing > NAMED_IDS ? ", ..." : "");
    return 0;
}

void labels_release(LabelList *list)
{
    strings_free(list->utts, list->n);
    strings_free(list->names, list->n_labels);
    mem_free(list->labels);
    *list = (LabelList){0};
}

// --- wav.scp

int wav_scp_load(const char *path, WavScp *scp, Error *error)
{
    char *data;
    size_t n_bytes;
    if (file_read(path, &data, &n_bytes, error) < 0)
        return -1;
    Pairs pairs;
    int status = pairs_parse(path, data, ' ', false, &pairs, error);
    if (status < 0)
        goto done;
    for (int64_t i = 0; i < pairs.n; i++) {
        const char *file = pairs.items[i].second;
        size_t length = strlen(file);
        if (length > 0 && file[length - 1] == '|') {
            status = error_set(error,
                               "%s:%lld: %s is a shell command (it ends in |), which voxloop does not run; "
                               "write the audio to files first",
                               path, (long long)pairs.items[i].line, pairs.items[i].first);
            mem_free(pairs.items);
            goto done;
        }
    }
    scp->n = pairs.n;
    scp->utts = mem_alloc((size_t)pairs.n, sizeof(char *));
    scp->paths = mem_alloc((size_t)pairs.n, sizeof(char *));
    for (int64_t i = 0; i < pairs.n; i++) {
        scp->utts[i] = mem_strdup(pairs.items[i].first);
        scp->paths[i] = mem_strdup(pairs.items[i].second);
    }
    mem_free(pairs.items);
done:
    mem_free(data);
    return status;
}

void wav_scp_release(WavScp *scp)
{
    strings_free(scp->utts, scp->n);
    strings_free(scp->paths, scp->n);
    *scp = (WavScp){0};
}
