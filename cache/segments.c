#include "cache/segments.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cache/names.h"

static int compare_segments(const void *left, const void *right)
{
    const Segment *a = left, *b = right;
    int order = strcmp(a->utt, b->utt);
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

static bool parse_seconds(const char *text, double *seconds)
{
    char *end;
    *seconds = strtod(text, &end);
    return end != text && !*end && *seconds == *seconds && *seconds < 1e9;
}

// A number from 0, or a side of a call.
static bool parse_channel(const char *text, int *channel)
{
    char *end;
    if ((text[0] == 'A' || text[0] == 'B') && !text[1]) {
        *channel = text[0] - 'A';
        return true;
    }
    long value = strtol(text, &end, 10);
    *channel = (int)value;
    return end != text && !*end && value >= 0 && value < SEGMENTS_MAX_CHANNELS;
}

static int parse_line(const char *path, int64_t line, char *text, Segment *segment, Error *error)
{
    char *word[5] = {0}, *rest = NULL;
    int n = 0;
    for (char *w = strtok_r(text, " \t", &rest); w; w = strtok_r(NULL, " \t", &rest))
        if (n++ < 5)
            word[n - 1] = w;
    double start, end;
    int channel = -1;
    if (n < 4 || n > 5 || !parse_seconds(word[2], &start) || !parse_seconds(word[3], &end))
        return error_set(
            error, "%s:%" PRId64 ": `%.80s ...` is not `utterance recording start end [channel]`, in seconds",
            path, line, word[0] ? word[0] : "");
    if (n == 5 && !parse_channel(word[4], &channel))
        return error_set(error, "%s:%" PRId64 ": %s is no channel; they count from 0", path, line, word[4]);
    if (start < 0 || (end <= start && end != -1))
        return error_set(error, "%s:%" PRId64 ": %s ends at %s s, which is not after %s s", path, line,
                         word[0], word[3], word[2]);
    *segment = (Segment){.utt = name_to_id(word[0]),
                         .name = mem_strdup(word[0]),
                         .recording = name_to_id(word[1]),
                         .start = start,
                         .end = end,
                         .channel = channel,
                         .line = line};
    return 0;
}

static int parse(const char *path, char *text, Segments *segments, Error *error)
{
    int64_t capacity = 0, number = 0;
    for (char *line; (line = text_next_line(&text));) {
        number++;
        if (!line[strspn(line, " \t")])
            continue;
        if (segments->n == capacity) {
            capacity = 2 * capacity + 64;
            segments->items = mem_grow(segments->items, (size_t)capacity, sizeof(Segment));
        }
        if (parse_line(path, number, line, &segments->items[segments->n], error) < 0)
            return -1;
        segments->n++;
    }
    if (segments->n == 0)
        return error_set(error, "%s is empty; expected lines `utterance recording start end`", path);
    qsort(segments->items, (size_t)segments->n, sizeof(Segment), compare_segments);
    for (int64_t i = 1; i < segments->n; i++)
        if (strcmp(segments->items[i - 1].utt, segments->items[i].utt) == 0)
            return error_set(error, "%s:%" PRId64 ": %s stands in line %" PRId64 " already", path,
                             segments->items[i].line, segments->items[i].utt, segments->items[i - 1].line);
    return 0;
}

int segments_load(const char *path, Segments *segments, Error *error)
{
    char *text;
    *segments = (Segments){0};
    if (text_read(path, &text, error) < 0)
        return -1;
    int status = parse(path, text, segments, error);
    mem_free(text);
    if (status < 0)
        segments_release(segments);
    return status;
}

void segments_release(Segments *segments)
{
    for (int64_t i = 0; i < segments->n; i++) {
        mem_free(segments->items[i].utt);
        mem_free(segments->items[i].name);
        mem_free(segments->items[i].recording);
    }
    mem_free(segments->items);
    *segments = (Segments){0};
}
