#include "cache/foreign_labels.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "cache/table.h"

enum { WORDS_TRIED = 12, COLUMNS_TRIED = 16, ROWS_TRIED = 200 };

typedef struct Reader {
    const char *path;
    Names *names; // NULL: not known
    ForeignLabels made;
    int64_t capacity, n_known, n_strange;
    char *prefix; // without which a name would be known; NULL: none was found
} Reader;

static void add(Reader *reader, int64_t index, char *utt, char *label, int64_t line)
{
    ForeignLabels *made = &reader->made;
    if (made->n == reader->capacity) {
        reader->capacity = reader->capacity ? 2 * reader->capacity : 64;
        made->items = mem_grow(made->items, (size_t)reader->capacity, sizeof(ForeignLabel));
    }
    char *id = index >= 0 ? mem_strdup(names_id(reader->names, index)) : name_as_id(utt);
    made->items[made->n++] = (ForeignLabel){id, label, line};
    reader->n_known += index >= 0;
    mem_free(utt);
}

// Looks for a folder in front of the names while all of them are unknown.
static void look_for_prefix(Reader *reader, const char *utt)
{
    bool wanted = reader->names && reader->n_known == 0 && !reader->prefix;
    if (wanted && reader->n_strange++ < ROWS_TRIED)
        reader->prefix = names_find_prefix(reader->names, utt);
}

static int refuse_ambiguous(const Reader *reader, int64_t line, const char *text, Error *error)
{
    return error_set(
        error,
        "%s:%lld: `%.200s` can be read as two utterances; write their ids, as utts.tsv of the prepared "
        "audio has them",
        reader->path, (long long)line, text);
}

typedef struct Line {
    char *text;
    int64_t number;
} Line;

// --- a line in two columns

typedef enum Order { UTT_FIRST, LABEL_FIRST } Order;

typedef struct Split {
    const char *utt, *label; // inside the line; NULL: it has but one column
    size_t n_utt, n_label;
    int64_t index; // of the utterance
    int trims;
} Split;

static bool is_separator(char c, char separator)
{
    return separator == ' ' ? c == ' ' || c == '\t' : c == separator;
}

// Keeps the reading whose utterance is known more exactly.
static void consider(Names *names, Split *best, const char *utt, size_t n_utt, const char *label,
                     size_t n_label)
{
    Split split = {utt, label, n_utt, n_label, NAME_UNKNOWN, 0};
    if (n_utt == 0 || n_label == 0)
        return;
    if (names)
        split.index = names_find_part(names, utt, n_utt, &split.trims);
    if (!best->utt || (best->index == NAME_UNKNOWN && split.index != NAME_UNKNOWN) ||
        (split.index >= 0 && split.trims < best->trims))
        *best = split;
    else if (split.index >= 0 && best->index >= 0 && split.trims == best->trims && split.index != best->index)
        best->index = NAME_AMBIGUOUS;
}

// The label is the last word, or what stands behind the last tab.
static Split split_utt_first(Names *names, const char *line, char separator)
{
    Split best = {.index = NAME_UNKNOWN};
    size_t end = strlen(line), label, gap;
    while (separator == ' ' && end > 0 && is_separator(line[end - 1], separator))
        end--;
    for (label = end; label > 0 && !is_separator(line[label - 1], separator);)
        label--;
    for (gap = label > 0 ? label - 1 : 0;
         separator == ' ' && gap > 0 && is_separator(line[gap - 1], separator);)
        gap--;
    const char *tab = separator == ' ' ? strrchr(line, '\t') : NULL;
    if (tab && tab < line + label)
        consider(names, &best, line, (size_t)(tab - line), tab + 1, end - (size_t)(tab + 1 - line));
    consider(names, &best, line, gap, line + label, end - label);
    if (label > 0 && label - 1 > gap)
        consider(names, &best, line, label - 1, line + label, end - label);
    return best;
}

// The label is the first word, or what stands before the first tab.
static Split split_label_first(Names *names, const char *line, char separator)
{
    Split best = {.index = NAME_UNKNOWN};
    size_t n = strlen(line), label = 0, end, utt;
    while (separator == ' ' && is_separator(line[label], separator))
        label++;
    for (end = label; line[end] && !is_separator(line[end], separator);)
        end++;
    for (utt = end + (line[end] != '\0'); separator == ' ' && is_separator(line[utt], separator);)
        utt++;
    const char *tab = separator == ' ' ? strchr(line + label, '\t') : NULL;
    if (tab && tab > line + end)
        consider(names, &best, tab + 1, strlen(tab + 1), line + label, (size_t)(tab - line) - label);
    consider(names, &best, line + utt, n - utt, line + label, end - label);
    if (utt > end + 1)
        consider(names, &best, line + end + 1, n - end - 1, line + label, end - label);
    return best;
}

static Split split_line(Names *names, const char *line, char separator, Order order)
{
    return order == UTT_FIRST ? split_utt_first(names, line, separator)
                              : split_label_first(names, line, separator);
}

// --- lines that are no such thing

// The words of a line, at most WORDS_TRIED of them; returns how many there are.
static int find_words(const char *line, char separator, size_t begins[WORDS_TRIED], size_t ends[WORDS_TRIED])
{
    int n = 0;
    for (size_t i = 0; line[i];) {
        size_t begin = i;
        while (line[i] && !is_separator(line[i], separator))
            i++;
        if (i > begin && n++ < WORDS_TRIED)
            begins[n - 1] = begin, ends[n - 1] = i;
        i += line[i] != '\0';
    }
    return n;
}

// Whether some of the line's words, next to each other, are an utterance.
static bool holds_known(Names *names, const char *line, const size_t *begins, const size_t *ends, int n)
{
    int trims;
    for (int i = 0; i < n; i++)
        for (int j = i; j < n; j++)
            if (names_find_part(names, line + begins[i], ends[j] - begins[i], &trims) >= 0)
                return true;
    return false;
}

static char *word(const char *line, const size_t *begins, const size_t *ends, int n, int index)
{
    if (index >= n)
        return mem_strdup("");
    return mem_printf("%.*s", (int)(ends[index] - begins[index]), line + begins[index]);
}

// Which kind of line that is none a line is.
static int refuse_other_lines(const Reader *reader, const Line *line, char separator, Error *error)
{
    size_t begins[WORDS_TRIED], ends[WORDS_TRIED];
    int n = find_words(line->text, separator, begins, ends), kept = n < WORDS_TRIED ? n : WORDS_TRIED,
        status = 0;
    char *first = word(line->text, begins, ends, n, 0), *second = word(line->text, begins, ends, n, 1);
    bool header = reader->made.n == 0 && ((table_is_utt_column(first) && table_is_label_column(second)) ||
                                          (table_is_label_column(first) && table_is_utt_column(second)));
    bool third = n > 2 && (reader->names ? holds_known(reader->names, line->text, begins, ends, kept)
                                         : !strchr(line->text, '\t'));
    if (first[0] == '#' || strncmp(first, "//", 2) == 0 || first[0] == ';')
        status = error_set(error, "%s:%lld: a comment, `%.80s`; a list of speakers has none, remove the line",
                           reader->path, (long long)line->number, line->text);
    else if (header)
        status =
            error_set(error,
                      "%s:%lld: a header, `%.80s`; remove the line, or separate the columns by commas: CSV "
                      "may have a header",
                      reader->path, (long long)line->number, line->text);
    else if (third)
        status =
            error_set(error, "%s:%lld: a third column in `%.120s`; give each utterance and its speaker alone",
                      reader->path, (long long)line->number, line->text);
    mem_free(second);
    mem_free(first);
    return status;
}

// A line whose utterance is unknown may be of a recording that is not there; or it is something else.
static int check_stranger(Reader *reader, const Line *line, const Split *split, char separator, Order order,
                          Error *error)
{
    Split other = split_line(reader->names, line->text, separator, !order);
    if (other.index >= 0)
        return error_set(error, "%s:%lld: `%.120s` has its columns the other way round than the lines before",
                         reader->path, (long long)line->number, line->text);
    char *utt = names_trim(split->utt, split->n_utt), *turned = names_trim(other.utt, other.n_utt);
    look_for_prefix(reader, utt);
    look_for_prefix(reader, turned);
    mem_free(turned);
    mem_free(utt);
    return refuse_other_lines(reader, line, separator, error);
}

// --- lists in lines

// The lines that hold something, [*n], inside the text.
static Line *take_lines(char *text, int64_t *n)
{
    Line *lines = NULL;
    int64_t capacity = 0, number = 0;
    *n = 0;
    for (char *line; (line = text_next_line(&text));) {
        number++;
        if (!line[strspn(line, " \t")])
            continue;
        if (*n == capacity)
            lines = mem_grow(lines, (size_t)(capacity = capacity ? 2 * capacity : 64), sizeof *lines);
        lines[(*n)++] = (Line){line, number};
    }
    return lines;
}

// The order in which the first line that leaves no doubt has its columns.
static int choose_order(const Reader *reader, const Line *lines, int64_t n, char separator, Order *order,
                        Error *error)
{
    const Line *doubtful = NULL;
    *order = UTT_FIRST;
    for (int64_t i = 0; reader->names && i < n; i++) {
        bool first = split_line(reader->names, lines[i].text, separator, UTT_FIRST).index >= 0;
        bool second = split_line(reader->names, lines[i].text, separator, LABEL_FIRST).index >= 0;
        if (first != second)
            return *order = first ? UTT_FIRST : LABEL_FIRST, 0;
        if (first && !doubtful)
            doubtful = &lines[i];
    }
    return !doubtful
               ? 0
               : error_set(error,
                           "%s:%lld: in `%.120s` each column could be the utterance, here and in every other "
                           "line; name the speakers otherwise",
                           reader->path, (long long)doubtful->number, doubtful->text);
}

static int read_line(Reader *reader, const Line *line, char separator, Order order, Error *error)
{
    Names *names = reader->names;
    Split split = split_line(names, line->text, separator, order);
    if (!split.utt)
        return error_set(error, "%s:%lld: expected two columns, found `%.80s`", reader->path,
                         (long long)line->number, line->text);
    if (split.index == NAME_AMBIGUOUS)
        return refuse_ambiguous(reader, line->number, line->text, error);
    if (split.index == NAME_UNKNOWN && check_stranger(reader, line, &split, separator, order, error) < 0)
        return -1;
    char *utt = names_trim(split.utt, split.n_utt), *label = names_trim(split.label, split.n_label);
    add(reader, split.index, utt, label, line->number);
    return 0;
}

// How many of the first lines name a known utterance when they are cut at this separator.
static int64_t count_known(const Reader *reader, const Line *lines, int64_t n, char separator)
{
    int64_t known = 0;
    for (int64_t i = 0; i < n && i < ROWS_TRIED && reader->names; i++)
        known += split_line(reader->names, lines[i].text, separator, UTT_FIRST).index >= 0 ||
                 split_line(reader->names, lines[i].text, separator, LABEL_FIRST).index >= 0;
    return known;
}

static char choose_separator(const Reader *reader, const Line *lines, int64_t n)
{
    if (n == 0 || !strchr(lines[0].text, ','))
        return ' ';
    int64_t at_commas = count_known(reader, lines, n, ','), at_blanks = count_known(reader, lines, n, ' ');
    if (at_commas == at_blanks)
        return strpbrk(lines[0].text, " \t") ? ' ' : ',';
    return at_commas > at_blanks ? ',' : ' ';
}

static int read_lines(Reader *reader, char *text, Error *error)
{
    int64_t n;
    Line *lines = take_lines(text, &n);
    char separator = choose_separator(reader, lines, n);
    Order order;
    int status = choose_order(reader, lines, n, separator, &order, error);
    for (int64_t i = 0; i < n && status == 0; i++)
        status = read_line(reader, &lines[i], separator, order, error);
    if (separator == ',')
        reader->made.form = order == UTT_FIRST ? "utterance,speaker" : "speaker,utterance";
    else
        reader->made.form = order == UTT_FIRST ? "utterance speaker" : "speaker utterance";
    mem_free(lines);
    return status;
}

// --- tables

// The columns that may hold the utterances, by how many of the first rows they know; the label's column.
static int choose_columns(const Reader *reader, char *text, char separator, int64_t *utt, int64_t *label,
                          Error *error)
{
    char *copy = mem_strdup(text);
    Table table = {0};
    int64_t known[COLUMNS_TRIED] = {0};
    int status = table_open(&table, reader->path, copy, separator, error), trims;
    *utt = *label = -1;
    for (int64_t c = table.n_columns; status == 0 && c-- > 0;)
        *label = table_is_label_column(table.columns[c]) ? c : *label;
    for (int row = 0; status == 0 && row < ROWS_TRIED && table_next(&table, NULL) > 0; row++)
        for (int64_t c = 0; c < table.n_columns && c < COLUMNS_TRIED && reader->names; c++)
            known[c] += c != *label && table.fields[c] &&
                        names_find_part(reader->names, table.fields[c], strlen(table.fields[c]), &trims) >= 0;
    for (int64_t c = 0; status == 0 && c < table.n_columns && c < COLUMNS_TRIED; c++) {
        bool candidate = c != *label && (known[c] > 0 || table_is_utt_column(table.columns[c]));
        if (candidate && (*utt < 0 || known[c] > known[*utt]))
            *utt = c;
    }
    if (status == 0 && (*utt < 0 || *label < 0))
        status = error_set(
            error,
            "%s: of its columns none is called like %s; name one so (File,Speaker), or give lines "
            "`utterance speaker`",
            reader->path,
            *utt < 0 ? "utterances (file, path, utt, id ...)" : "speakers (speaker, spk_id, label ...)");
    table_close(&table);
    mem_free(copy);
    return status;
}

static int read_row(Reader *reader, const Table *table, int64_t utt, int64_t label, Error *error)
{
    const char *name = table->fields[utt], *speaker = table->fields[label];
    if (!name || !speaker || !name[0] || !speaker[strspn(speaker, " \t")])
        return error_set(error, "%s:%lld: has no %s", table->path, (long long)table->line,
                         table->columns[!name || !name[0] ? utt : label]);
    int trims;
    int64_t index = reader->names ? names_find_part(reader->names, name, strlen(name), &trims) : NAME_UNKNOWN;
    if (index == NAME_AMBIGUOUS)
        return refuse_ambiguous(reader, table->line, name, error);
    look_for_prefix(reader, name);
    add(reader, index, mem_strdup(name), names_trim(speaker, strlen(speaker)), table->line);
    return 0;
}

static int read_table(Reader *reader, char *text, char separator, Error *error)
{
    int64_t utt, label;
    Table table = {0};
    int status = choose_columns(reader, text, separator, &utt, &label, error), more = 0;
    if (status == 0)
        status = table_open(&table, reader->path, text, separator, error);
    while (status == 0 && (more = table_next(&table, error)) > 0)
        status = read_row(reader, &table, utt, label, error);
    table_close(&table);
    reader->made.form = separator == '{' ? "JSON lines" : separator == ',' ? "File,Speaker" : "table";
    return more < 0 ? -1 : status;
}

// --- the whole

static int refuse_metadata(const char *path, const char *text, Error *error)
{
    char *line = mem_printf("%.*s", (int)strcspn(text, "\r\n"), text);
    bool of_speakers = strcasestr(line, "voxceleb") && strcasestr(line, "gender");
    mem_free(line);
    return !of_speakers
               ? 0
               : error_set(error,
                           "%s is VoxCeleb's table of speakers, which names no utterances; a list `utterance "
                           "speaker` is wanted (the speaker is the first folder of an utterance's path)",
                           path);
}

// Two columns under a header are utt2spk with a header when no comma or the like separates them.
static char separator_of_table(const char *text)
{
    char separator = table_separator(text);
    text += strspn(text, "\r\n ");
    const char *tab = separator == '\t' ? strchr(text, '\t') : NULL;
    return tab && !memchr(tab + 1, '\t', strcspn(tab + 1, "\n")) ? '\0' : separator;
}

static int read_text(Reader *reader, const char *text, Error *error)
{
    char *copy = mem_strdup(text), separator = separator_of_table(text);
    int status = separator ? read_table(reader, copy, separator, error) : read_lines(reader, copy, error);
    mem_free(copy);
    return status;
}

static int compare_labels(const void *left, const void *right)
{
    const ForeignLabel *a = left, *b = right;
    int order = strcmp(a->utt, b->utt);
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

static int check_and_sort(const char *path, ForeignLabels *labels, Error *error)
{
    if (labels->n == 0)
        return error_set(error, "%s is empty; expected lines `utterance speaker`", path);
    qsort(labels->items, (size_t)labels->n, sizeof(ForeignLabel), compare_labels);
    for (int64_t i = 1; i < labels->n; i++)
        if (strcmp(labels->items[i - 1].utt, labels->items[i].utt) == 0)
            return error_set(error, "%s:%lld: duplicate id %s (first on line %lld); keep one of the lines",
                             path, (long long)labels->items[i].line, labels->items[i].utt,
                             (long long)labels->items[i - 1].line);
    return 0;
}

int foreign_labels_load(const char *path, Names *names, ForeignLabels *labels, Error *error)
{
    char *text;
    if (text_read(path, &text, error) < 0)
        return -1;
    Reader reader = {.path = path, .names = names};
    int status = refuse_metadata(path, text, error);
    if (status == 0)
        status = read_text(&reader, text, error);
    if (status == 0 && reader.n_known == 0 && reader.prefix) {
        names_set_prefix(names, reader.prefix);
        log_info("%s: its utterances lie below %s", path, reader.prefix);
        foreign_labels_release(&reader.made);
        reader.capacity = 0;
        status = read_text(&reader, text, error);
    }
    if (status == 0)
        status = check_and_sort(path, &reader.made, error);
    mem_free(reader.prefix);
    mem_free(text);
    if (status < 0)
        foreign_labels_release(&reader.made);
    else
        *labels = reader.made;
    return status;
}

void foreign_labels_release(ForeignLabels *labels)
{
    for (int64_t i = 0; i < labels->n; i++) {
        mem_free(labels->items[i].utt);
        mem_free(labels->items[i].label);
    }
    mem_free(labels->items);
    *labels = (ForeignLabels){0};
}
