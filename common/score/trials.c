#include "score/trials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cache/pieces.h"

// --- reading

enum { SHOWN = 5 };

typedef struct Unknown { // ids of one side that are not among the utterances
    int64_t n;
    char *first[SHOWN];
} Unknown;

static int64_t find_utt(char *const *utts, int64_t n, const char *utt)
{
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = strcmp(utts[middle], utt);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static int64_t resolve(char *const *utts, int64_t n, char *utt, Unknown *unknown)
{
    int64_t index = find_utt(utts, n, utt);
    if (index < 0 && unknown->n++ < SHOWN)
        unknown->first[unknown->n - 1] = utt;
    return index;
}

// 1 target, 0 nontarget, -1 neither
static int parse_label(const char *text)
{
    if (strcmp(text, "1") == 0 || strcmp(text, "target") == 0)
        return 1;
    return strcmp(text, "0") == 0 || strcmp(text, "nontarget") == 0 ? 0 : -1;
}

// Splits at blanks; returns how many fields the line has, of which at most `most` are kept.
static int split_fields(char *line, char **fields, int most)
{
    int n = 0;
    char *rest = line;
    for (char *field; (field = strtok_r(rest, " \t\r", &rest)) != NULL; n++)
        if (n < most)
            fields[n] = field;
    return n;
}

static bool is_binary(const char *text)
{
    return (text[0] == '0' || text[0] == '1') && text[1] == '\0';
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

static int report_unknown(const char *name, const Unknown *enroll, const Unknown *test, int64_t n_utts,
                          Error *error)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return error_set_errno(error, "%s: unknown utterances", name);
    write_unknown(out, "enrolment", enroll);
    write_unknown(out, "test", test);
    fclose(out);
    error_set(error, "%s names utterances that are not among the %lld embeddings%s", name, (long long)n_utts,
              text);
    free(text);
    return -1;
}

typedef struct Reader {
    const char *name;
    char *const *utts;
    int64_t n_utts;
    Unknown enroll, test;
    int64_t capacity;
    Trials made;
} Reader;

static int read_line(Reader *reader, int64_t line_number, char *line, Error *error)
{
    char *field[3];
    int n = split_fields(line, field, 3);
    if (n == 0)
        return 0;
    if (n != 3)
        return error_set(error,
                         "%s:%lld: %d fields; a trial is `1|0 enroll test` or `enroll test target|nontarget`",
                         reader->name, (long long)line_number, n);
    if (!reader->made.form)
        reader->made.form = is_binary(field[0]) && parse_label(field[2]) < 0 ? "voxceleb" : "kaldi";
    bool label_first = reader->made.form[0] == 'v';
    int label = parse_label(field[label_first ? 0 : 2]);
    if (label < 0)
        return error_set(error, "%s:%lld: `%s` is no trial label; it is 1 or 0%s", reader->name,
                         (long long)line_number, field[label_first ? 0 : 2],
                         label_first ? " (form: 1|0 enroll test)" : ", target or nontarget");
    Trials *made = &reader->made;
    if (made->n == reader->capacity) {
        reader->capacity = reader->capacity ? 2 * reader->capacity : 1024;
        made->trials = mem_grow(made->trials, (size_t)reader->capacity, sizeof(Trial));
    }
    made->trials[made->n++] =
        (Trial){resolve(reader->utts, reader->n_utts, field[label_first], &reader->enroll),
                resolve(reader->utts, reader->n_utts, field[label_first + 1], &reader->test), label};
    made->n_target += label;
    made->n_nontarget += !label;
    return 0;
}

static int check_trials(const Reader *reader, Error *error)
{
    const Trials *made = &reader->made;
    if (reader->enroll.n || reader->test.n)
        return report_unknown(reader->name, &reader->enroll, &reader->test, reader->n_utts, error);
    if (made->n_target == 0 || made->n_nontarget == 0)
        return error_set(error, "%s has %lld target and %lld nontarget trials; both kinds are needed",
                         reader->name, (long long)made->n_target, (long long)made->n_nontarget);
    return 0;
}

int trials_parse(const char *name, char *text, char *const *utts, int64_t n_utts, Trials *trials,
                 Error *error)
{
    Reader reader = {.name = name, .utts = utts, .n_utts = n_utts};
    int64_t line_number = 0;
    int status = 0;
    for (char *line = text; line && status == 0;) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        status = read_line(&reader, ++line_number, line, error);
        line = end ? end + 1 : NULL;
    }
    if (status == 0)
        status = check_trials(&reader, error);
    if (status < 0)
        trials_release(&reader.made);
    else
        *trials = reader.made;
    return status;
}

int trials_load(const char *path, char *const *utts, int64_t n_utts, Trials *trials, Error *error)
{
    char *text;
    size_t n_bytes;
    if (file_read(path, &text, &n_bytes, error) < 0)
        return -1;
    int status = trials_parse(path, text, utts, n_utts, trials, error);
    mem_free(text);
    return status;
}

bool *trials_targets(const Trials *trials)
{
    bool *targets = mem_alloc((size_t)trials->n, sizeof(bool));
    for (int64_t t = 0; t < trials->n; t++)
        targets[t] = trials->trials[t].target;
    return targets;
}

int trials_det_curve(const Trials *trials, const double *scores, DetCurve *curve, Error *error)
{
    bool *targets = trials_targets(trials);
    int status = det_curve_create(scores, targets, trials->n, curve, error);
    mem_free(targets);
    return status;
}

void trials_release(Trials *trials)
{
    mem_free(trials->trials);
    *trials = (Trials){0};
}

// --- label-free

// How much of a name tells the recording: the folder, or without folders the utterance.
static size_t recording_length(const char *utt, bool by_folder)
{
    int half;
    const char *slash = strrchr(utt, '/');
    return by_folder && slash ? (size_t)(slash - utt) : piece_parse(utt, &half);
}

static bool same_recording(const char *a, const char *b, bool by_folder)
{
    size_t length = recording_length(a, by_folder);
    return length == recording_length(b, by_folder) && memcmp(a, b, length) == 0;
}

typedef struct Named {
    const char *utt;
    size_t length; // of the recording's part
    int64_t index;
} Named;

// By recording, then by index: "a/b" and "a/b/c" interleave in the list's own order.
static int compare_recordings(const void *a, const void *b)
{
    const Named *x = a, *y = b;
    size_t nx = x->length, ny = y->length;
    int order = memcmp(x->utt, y->utt, nx < ny ? nx : ny);
    if (order == 0)
        order = (nx > ny) - (nx < ny);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

// The recording of the sorted utterances [first, first + n), and how many pairs stand before its own.
typedef struct Recording {
    int64_t first, n;
    double n_pairs_before;
} Recording;

static void add_pair(const Named *sorted, int64_t i, int64_t j, Trials *made)
{
    made->trials[made->n_target++] = (Trial){sorted[i].index, sorted[j].index, true};
}

static void take_every_pair(const Named *sorted, const Recording *recordings, int64_t n, Trials *made)
{
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0; i < recordings[r].n; i++)
            for (int64_t j = i + 1; j < recordings[r].n; j++)
                add_pair(sorted, recordings[r].first + i, recordings[r].first + j, made);
}

// With replacement, each pair as likely.
static void draw_pairs_of(const Named *sorted, const Recording *recordings, int64_t n, double n_pairs,
                          int64_t most, Rng *rng, Trials *made)
{
    while (made->n_target < most) {
        double place = rng_uniform(rng) * n_pairs;
        int64_t low = 0, high = n; // the last recording whose pairs begin at or before the place
        while (high - low > 1) {
            int64_t middle = (low + high) / 2;
            if (recordings[middle].n_pairs_before <= place)
                low = middle;
            else
                high = middle;
        }
        const Recording *r = &recordings[low];
        int64_t i = (int64_t)rng_below(rng, (uint64_t)r->n), j = (int64_t)rng_below(rng, (uint64_t)r->n - 1);
        j += j >= i;
        add_pair(sorted, r->first + (i < j ? i : j), r->first + (i < j ? j : i), made);
    }
}

// At most `most` pairs of one recording; none where there is but one recording.
static void draw_same(const Named *sorted, int64_t n, int64_t most, bool by_folder, Rng *rng, Trials *made)
{
    Recording *recordings = mem_alloc((size_t)n, sizeof(Recording));
    int64_t n_recordings = 0;
    double n_pairs = 0;
    bool several = n > 0 && !same_recording(sorted[0].utt, sorted[n - 1].utt, by_folder);
    for (int64_t first = 0, end; several && first < n; first = end) {
        end = first + 1;
        while (end < n && same_recording(sorted[first].utt, sorted[end].utt, by_folder))
            end++;
        double size = (double)(end - first);
        if (end - first < 2)
            continue;
        recordings[n_recordings++] = (Recording){first, end - first, n_pairs};
        n_pairs += size * (size - 1) / 2;
    }
    if (n_pairs <= (double)most)
        take_every_pair(sorted, recordings, n_recordings, made);
    else
        draw_pairs_of(sorted, recordings, n_recordings, n_pairs, most, rng, made);
    mem_free(recordings);
}

static void draw_different(char *const *utts, int64_t n, int64_t most, bool by_folder, Rng *rng, Trials *made)
{
    // Drawn with replacement. Where one recording holds nearly everything, drawing stops after 20 misses
    // each.
    for (int64_t tries = 0; tries < 20 * most && made->n_nontarget < most; tries++) {
        int64_t i = (int64_t)rng_below(rng, (uint64_t)n), j = (int64_t)rng_below(rng, (uint64_t)n);
        if (i != j && !same_recording(utts[i], utts[j], by_folder))
            made->trials[made->n_target + made->n_nontarget++] = (Trial){i, j, false};
    }
}

typedef struct Timed {
    int64_t duration, index;
} Timed;

static int compare_durations(const void *a, const void *b)
{
    const Timed *x = a, *y = b;
    if (x->duration != y->duration)
        return x->duration > y->duration ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

// The same, of like durations: see trials.h.
static void draw_as_long(char *const *utts, int64_t n, const int64_t *durations, int64_t most, bool by_folder,
                         Rng *rng, Trials *made)
{
    Timed *order = mem_alloc((size_t)n, sizeof(Timed));
    int64_t *place = mem_alloc((size_t)n, sizeof(int64_t)), reach = n / 20 > 8 ? n / 20 : 8;
    for (int64_t i = 0; i < n; i++)
        order[i] = (Timed){durations[i], i};
    qsort(order, (size_t)n, sizeof(Timed), compare_durations);
    for (int64_t i = 0; i < n; i++)
        place[order[i].index] = i;
    for (int64_t tries = 0; tries < 20 * most && made->n_nontarget < most; tries++) {
        const Trial *same = &made->trials[rng_below(rng, (uint64_t)made->n_target)];
        int64_t at = place[same->test] - reach + (int64_t)rng_below(rng, (uint64_t)(2 * reach + 1));
        if (at < 0 || at >= n || same_recording(utts[same->enroll], utts[order[at].index], by_folder))
            continue;
        made->trials[made->n_target + made->n_nontarget++] = (Trial){same->enroll, order[at].index, false};
    }
    mem_free(place);
    mem_free(order);
}

// made->n_target and n_nontarget are both 0 where there are no pairs of one kind.
static void draw_pairs(char *const *utts, int64_t n, const int64_t *durations, int64_t most, bool by_folder,
                       int64_t seed, Trials *made)
{
    Named *sorted = mem_alloc((size_t)n, sizeof(Named));
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (Named){utts[i], recording_length(utts[i], by_folder), i};
    qsort(sorted, (size_t)n, sizeof(Named), compare_recordings);
    Rng rng = rng_stream((uint64_t)seed, "label-free trials", 0, 0);
    draw_same(sorted, n, most, by_folder, &rng, made);
    if (made->n_target > 0 && durations)
        draw_as_long(utts, n, durations, most, by_folder, &rng, made);
    else if (made->n_target > 0)
        draw_different(utts, n, most, by_folder, &rng, made);
    if (made->n_nontarget == 0)
        made->n_target = 0;
    mem_free(sorted);
}

void trials_label_free(char *const *utts, int64_t n_utts, const int64_t *durations, int64_t most,
                       int64_t seed, Trials *trials)
{
    Trials made = {
        .trials = mem_alloc((size_t)(2 * most), sizeof(Trial)),
        .form = durations ? "label-free: same recording (folder or file) against different recordings, as "
                            "long as those"
                          : "label-free: same recording (folder or file) against different recordings"};
    draw_pairs(utts, n_utts, durations, most, true, seed, &made);
    if (made.n_target == 0)
        draw_pairs(utts, n_utts, durations, most, false, seed, &made);
    made.n = made.n_target + made.n_nontarget;
    *trials = made;
}
