// Trial lists that users bring (trials.h).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "cache/names.h"
#include "cache/table.h"
#include "score/trials.h"

enum { SHOWN = 5, PLACES_TRIED = 256, LINES_TRIED = 1000 };

typedef struct Unknown { // names of one side that are not among the utterances
    int64_t n;
    char *first[SHOWN];
} Unknown;

typedef struct Reader {
    const char *name; // of the list, for errors
    Names *names;
    int64_t n_utts;
    char separator; // ' ' or ','
    bool label_first;
    Unknown enroll, test;
    int64_t capacity, n_found; // lines of which both names are known
    char *prefix;              // without which a name would be known; NULL: none was found
    Trials made;
} Reader;

// --- one line

// A trial line, cut: label, and the two names as one span.
typedef struct Fields {
    int label; // 1 target, 0 nontarget, -1 neither
    const char *label_text, *pair;
    int n_label;
    size_t n_pair;
} Fields;

typedef struct Pair {
    int64_t enroll, test;
    int trims;
    bool found;
} Pair;

static bool is_separator(const Reader *reader, char c)
{
    return c == reader->separator || (c == '\t' && reader->separator == ' ');
}

static int parse_label(const char *text, size_t n)
{
    static const char *const TARGET[] = {"1", "target"}, *const NONTARGET[] = {"0", "nontarget"};
    for (int i = 0; i < 2; i++) {
        if (strlen(TARGET[i]) == n && memcmp(text, TARGET[i], n) == 0)
            return 1;
        if (strlen(NONTARGET[i]) == n && memcmp(text, NONTARGET[i], n) == 0)
            return 0;
    }
    return -1;
}

// Cuts the label off, at the beginning or the end; what is left may begin or end with blanks of a name.
static Fields cut_label(const Reader *reader, const char *line, bool label_first)
{
    size_t begin = 0, end = strlen(line), cut;
    if (label_first) {
        while (line[begin] == ' ' || line[begin] == '\t')
            begin++;
        for (cut = begin; cut < end && !is_separator(reader, line[cut]);)
            cut++;
        size_t pair = cut < end ? cut + 1 : end;
        return (Fields){parse_label(line + begin, cut - begin), line + begin, line + pair, (int)(cut - begin),
                        end - pair};
    }
    while (end > 0 && (line[end - 1] == ' ' || line[end - 1] == '\t'))
        end--;
    for (cut = end; cut > 0 && !is_separator(reader, line[cut - 1]);)
        cut--;
    return (Fields){parse_label(line + cut, end - cut), line + cut, line, (int)(end - cut),
                    cut > 0 ? cut - 1 : 0};
}

// Every place where the first name could end is tried; the one that needs least trimming counts. Returns -1
// where two are as good, or a name is two.
static int find_pair(const Reader *reader, const char *text, size_t n, Pair *pair)
{
    int tried = 0;
    bool ambiguous = false;
    *pair = (Pair){.enroll = NAME_UNKNOWN, .test = NAME_UNKNOWN};
    for (size_t i = 0; i < n && tried < PLACES_TRIED; i++) {
        int left_trims, right_trims;
        if (!is_separator(reader, text[i]))
            continue;
        tried++;
        int64_t left = names_find_part(reader->names, text, i, &left_trims);
        int64_t right = left == NAME_UNKNOWN
                            ? NAME_UNKNOWN
                            : names_find_part(reader->names, text + i + 1, n - i - 1, &right_trims);
        if (right == NAME_UNKNOWN)
            continue;
        int trims = left_trims + right_trims;
        bool same = pair->found && left == pair->enroll && right == pair->test;
        if (pair->found && !same && trims == pair->trims)
            ambiguous = true;
        if (!pair->found || trims < pair->trims) {
            *pair = (Pair){left, right, trims, true};
            ambiguous = left == NAME_AMBIGUOUS || right == NAME_AMBIGUOUS;
        }
    }
    return ambiguous ? -1 : 0;
}

// Whether a line is a trial of known utterances when its label stands there.
static bool reads_well(const Reader *reader, const char *line, bool label_first)
{
    Pair pair;
    Fields fields = cut_label(reader, line, label_first);
    return fields.label >= 0 && (find_pair(reader, fields.pair, fields.n_pair, &pair) < 0 || pair.found);
}

// --- unknown names

static void add_unknown(Unknown *unknown, const char *text, size_t n)
{
    if (unknown->n++ < SHOWN)
        unknown->first[unknown->n - 1] = names_trim(text, n);
}

static void release_unknown(Unknown *unknown)
{
    for (int64_t i = 0; i < unknown->n && i < SHOWN; i++)
        mem_free(unknown->first[i]);
    *unknown = (Unknown){0};
}

static void look_for_prefix(Reader *reader, const char *text, size_t n)
{
    if (reader->prefix || reader->enroll.n + reader->test.n > LINES_TRIED)
        return;
    char *name = names_trim(text, n);
    reader->prefix = names_find_prefix(reader->names, name);
    mem_free(name);
}

static bool is_known(const Reader *reader, const char *text, size_t n)
{
    int trims;
    return names_find_part(reader->names, text, n, &trims) >= 0;
}

static int count_words(const Reader *reader, const char *text, size_t n)
{
    int words = 0;
    for (size_t i = 0; i < n; i++)
        words += !is_separator(reader, text[i]) && (i == 0 || is_separator(reader, text[i - 1]));
    return words;
}

// Where the first name of a pair ends of which not both are known: two words are two names; of more, one name
// must be known to tell where the other is. n: nowhere.
static size_t guess_end(const Reader *reader, const char *text, size_t n)
{
    size_t first = 0;
    while (first < n && is_separator(reader, text[first]))
        first++;
    while (first < n && !is_separator(reader, text[first]))
        first++;
    if (count_words(reader, text, n) <= 2)
        return first;
    for (size_t i = 0; i < n; i++)
        if (is_separator(reader, text[i]) &&
            (is_known(reader, text, i) || is_known(reader, text + i + 1, n - i - 1)))
            return i;
    return n;
}

static bool holds_known_word(const Reader *reader, const char *text, size_t n)
{
    for (size_t i = 0, begin = 0; i <= n; i++)
        if (i == n || is_separator(reader, text[i])) {
            if (i > begin && is_known(reader, text + begin, i - begin))
                return true;
            begin = i + 1;
        }
    return false;
}

// A pair of which at least one name is unknown.
static int take_strangers(Reader *reader, long long line, const char *text, size_t n, Error *error)
{
    int words = count_words(reader, text, n);
    size_t cut = guess_end(reader, text, n), rest = cut < n ? cut + 1 : n;
    bool left = is_known(reader, text, cut), right = is_known(reader, text + rest, n - rest);
    bool third = words > 2 && cut < n &&
                 ((!left && holds_known_word(reader, text, cut)) ||
                  (!right && holds_known_word(reader, text + rest, n - rest)));
    if (words < 2 || third)
        return error_set(error,
                         "%s:%lld: %d fields; a trial is `1|0 enroll test` or `enroll test target|nontarget`",
                         reader->name, line, words + 1);
    if (cut == n)
        return error_set(
            error,
            "%s:%lld: `%.*s`: neither its beginning nor its end is an utterance, so it cannot be told "
            "where the first name ends",
            reader->name, line, (int)(n < 200 ? n : 200), text);
    look_for_prefix(reader, text, cut);
    if (!left)
        add_unknown(&reader->enroll, text, cut);
    if (!right)
        add_unknown(&reader->test, text + rest, n - rest);
    return 0;
}

static void write_unknown(FILE *out, const char *side, const Unknown *unknown)
{
    if (unknown->n == 0)
        return;
    fprintf(out, "; %lld unknown on the %s side:", (long long)unknown->n, side);
    for (int64_t i = 0; i < unknown->n && i < SHOWN; i++)
        fprintf(out, " %s", unknown->first[i]);
    fputs(unknown->n > SHOWN ? " ..." : "", out);
}

static int report_unknown(const Reader *reader, Error *error)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return error_set_errno(error, "%s: unknown utterances", reader->name);
    write_unknown(out, "enrolment", &reader->enroll);
    write_unknown(out, "test", &reader->test);
    fclose(out);
    error_set(error, "%s names utterances that are not among the %lld embeddings%s", reader->name,
              (long long)reader->n_utts, text);
    free(text);
    return -1;
}

// --- the list

static int read_line(Reader *reader, long long number, const char *line, Error *error)
{
    Fields fields = cut_label(reader, line, reader->label_first);
    Pair pair;
    if (fields.label < 0)
        return error_set(error,
                         "%s:%lld: `%.*s` is no trial label; it is 1 or 0, target or nontarget (form: %s)",
                         reader->name, number, fields.n_label < 80 ? fields.n_label : 80, fields.label_text,
                         reader->label_first ? "1|0 enroll test" : "enroll test 1|0");
    if (find_pair(reader, fields.pair, fields.n_pair, &pair) < 0)
        return error_set(
            error,
            "%s:%lld: `%.200s` can be read as two trials; write the utterances' ids, as utts.tsv of the "
            "prepared audio has them",
            reader->name, number, line);
    reader->n_found += pair.found;
    if (!pair.found && take_strangers(reader, number, fields.pair, fields.n_pair, error) < 0)
        return -1;
    Trials *made = &reader->made;
    if (made->n == reader->capacity) {
        reader->capacity = reader->capacity ? 2 * reader->capacity : 1024;
        made->trials = mem_grow(made->trials, (size_t)reader->capacity, sizeof(Trial));
    }
    made->trials[made->n++] = (Trial){pair.enroll, pair.test, fields.label};
    made->n_target += fields.label;
    made->n_nontarget += !fields.label;
    return 0;
}

static int check_trials(const Reader *reader, Error *error)
{
    const Trials *made = &reader->made;
    if (reader->enroll.n || reader->test.n)
        return report_unknown(reader, error);
    if (made->n_target == 0 || made->n_nontarget == 0)
        return error_set(error, "%s has %lld target and %lld nontarget trials; both kinds are needed",
                         reader->name, (long long)made->n_target, (long long)made->n_nontarget);
    return 0;
}

static bool is_empty(const char *line)
{
    return !line[strspn(line, " \t")];
}

// The form of the first line that can be read in one way only; of the first line at all, where none can.
static void detect_form(Reader *reader, const char *text)
{
    char *copy = mem_strdup(text), *rest = copy, *line;
    bool first = true;
    for (int n = 0; n < LINES_TRIED && (line = text_next_line(&rest)); n++) {
        if (is_empty(line))
            continue;
        bool leads = reads_well(reader, line, true), ends = reads_well(reader, line, false);
        if (first)
            reader->label_first = cut_label(reader, line, true).label >= 0 &&
                                  (leads || cut_label(reader, line, false).label < 0);
        first = false;
        if (leads != ends) {
            reader->label_first = leads;
            break;
        }
    }
    mem_free(copy);
}

// Commas separate where the first line has them and reads better so.
static void detect_separator(Reader *reader, const char *text)
{
    char *copy = mem_strdup(text), *rest = copy, *line;
    reader->separator = ' ';
    while ((line = text_next_line(&rest)) && is_empty(line))
        continue;
    const char *comma = line ? strchr(line, ',') : NULL;
    if (comma && strchr(comma + 1, ',') && !reads_well(reader, line, true) &&
        !reads_well(reader, line, false))
        reader->separator = ',';
    mem_free(copy);
}

static bool is_csv_header(const Reader *reader, const char *line)
{
    return reader->separator == ',' && cut_label(reader, line, true).label < 0 &&
           cut_label(reader, line, false).label < 0;
}

static int read_text(Reader *reader, const char *text, Error *error)
{
    char *copy = mem_strdup(text), *rest = copy, *line;
    long long number = 0;
    int status = 0;
    detect_separator(reader, text);
    detect_form(reader, text);
    while (status == 0 && (line = text_next_line(&rest))) {
        number++;
        if (!is_empty(line) && !(reader->made.n == 0 && is_csv_header(reader, line)))
            status = read_line(reader, number, line, error);
    }
    reader->made.form = reader->label_first ? "voxceleb" : "kaldi";
    mem_free(copy);
    return status;
}

static int refuse_json(const char *name, const char *text, Error *error)
{
    if (table_separator(text) != '{')
        return 0;
    return error_set(
        error, "%s is JSON; trials are lines `1|0 enroll test` or `enroll test target|nontarget`", name);
}

static void forget(Reader *reader)
{
    release_unknown(&reader->enroll);
    release_unknown(&reader->test);
    trials_release(&reader->made);
    reader->capacity = 0;
}

int trials_parse(const char *name, const char *text, char *const *utts, int64_t n_utts, Trials *trials,
                 Error *error)
{
    Reader reader = {.name = name, .names = names_create(utts, n_utts), .n_utts = n_utts};
    Error first = {0};
    int status = refuse_json(name, text, &first);
    if (status == 0)
        status = read_text(&reader, text, &first);
    if (reader.n_found == 0 && reader.prefix) {
        names_set_prefix(reader.names, reader.prefix);
        log_info("%s: its utterances lie below %s", name, reader.prefix);
        forget(&reader);
        status = read_text(&reader, text, error);
    } else if (status < 0) {
        error_set(error, "%s", first.text);
    }
    if (status == 0)
        status = check_trials(&reader, error);
    if (status == 0) {
        *trials = reader.made;
        reader.made = (Trials){0};
    }
    forget(&reader);
    mem_free(reader.prefix);
    names_destroy(reader.names);
    return status;
}

int trials_load(const char *path, char *const *utts, int64_t n_utts, Trials *trials, Error *error)
{
    char *text;
    if (text_read(path, &text, error) < 0)
        return -1;
    int status = trials_parse(path, text, utts, n_utts, trials, error);
    mem_free(text);
    return status;
}
