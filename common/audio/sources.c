#include "audio/sources.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/files.h"
#include "base/folder_walk.h"
#include "base/memory.h"
#include "cache/lists.h"
#include "cache/names.h"
#include "cache/segments.h"
#include "cache/table.h"

static bool is_recording(const char *path)
{
    static const char *const ENDINGS[] = {"wav",  "flac", "ogg",  "oga", "opus", "mp3", "mp2",
                                          "aiff", "aif",  "aifc", "sph", "nist", "au",  "snd",
                                          "caf",  "w64",  "rf64", "voc", "avr",  "paf", "m4a",
                                          "mp4",  "aac",  "webm", "wma", "amr",  "wave"};
    const char *dot = strrchr(path_name(path), '.');
    for (size_t i = 0; dot && i < sizeof(ENDINGS) / sizeof(ENDINGS[0]); i++)
        if (strcasecmp(dot + 1, ENDINGS[i]) == 0)
            return true;
    return false;
}

// --- sources in the order of their ids

typedef struct Source {
    char *utt, *name, *path;
} Source;

static Source source_of(const char *name, char *path)
{
    name = name_without_here(name);
    return (Source){name_to_id(name), mem_strdup(name), path};
}

static int compare_sources(const void *left, const void *right)
{
    return strcmp(((const Source *)left)->utt, ((const Source *)right)->utt);
}

// Takes the strings of found [n] over.
static void take_sources(Source *found, int64_t n, AudioSources *sources)
{
    if (n > 0)
        qsort(found, (size_t)n, sizeof *found, compare_sources);
    sources->utts = mem_zero((size_t)n + 1, sizeof(char *));
    sources->names = mem_zero((size_t)n + 1, sizeof(char *));
    sources->paths = mem_zero((size_t)n + 1, sizeof(char *));
    for (int64_t i = 0; i < n; i++) {
        sources->utts[i] = found[i].utt;
        sources->names[i] = found[i].name;
        sources->paths[i] = found[i].path;
    }
    sources->n = n;
}

static int check_distinct(const char *list, const AudioSources *sources, Error *error)
{
    for (int64_t i = 1; i < sources->n; i++)
        if (strcmp(sources->utts[i - 1], sources->utts[i]) == 0)
            return error_set(error, "%s lists %s twice", list, sources->names[i]);
    return 0;
}

static int find_in_folder(const char *folder, AudioSources *sources, Error *error)
{
    FolderWalk walk;
    if (folder_walk(folder, &walk, error) < 0)
        return -1;
    folder_walk_warn(folder, &walk);
    Source *found = mem_alloc((size_t)walk.n + 1, sizeof *found);
    int64_t n = 0;
    for (int64_t i = 0; i < walk.n; i++)
        if (is_recording(walk.paths[i]))
            found[n++] = source_of(walk.paths[i], path_join(folder, walk.paths[i]));
    take_sources(found, n, sources);
    sources->n_ignored = walk.n - n;
    mem_free(found);
    folder_walk_release(&walk);
    if (sources->n == 0)
        return error_set(error, "%s is empty: no recordings in it (%lld other files)", folder,
                         (long long)sources->n_ignored);
    return 0;
}

// --- lists

enum { LINES_TRIED = 100 };

static bool names_a_file(const char *list, const char *path)
{
    char *found = listed_path(list, path);
    bool there = file_exists(found);
    mem_free(found);
    return there;
}

// Whether the lines are paths as a whole, rather than `utt path`: as more of the first ones name files so.
static bool is_list_of_paths(const char *list, char **lines, int64_t n)
{
    int64_t n_paths = 0, n_pairs = 0;
    bool blanks = false;
    for (int64_t i = 0; i < n && i < LINES_TRIED; i++) {
        const char *second = lines[i] + strcspn(lines[i], " \t");
        blanks = blanks || *second;
        n_paths += names_a_file(list, lines[i]);
        n_pairs += *second && names_a_file(list, second + strspn(second, " \t"));
    }
    return n_paths == n_pairs ? !blanks : n_paths > n_pairs;
}

static void take_paths(const char *list, char **lines, int64_t n, AudioSources *sources)
{
    Source *found = mem_alloc((size_t)n + 1, sizeof *found);
    for (int64_t i = 0; i < n; i++)
        found[i] = source_of(lines[i], listed_path(list, lines[i]));
    take_sources(found, n, sources);
    mem_free(found);
}

static int take_scp(const char *list, AudioSources *sources, Error *error)
{
    WavScp scp;
    if (wav_scp_load(list, &scp, error) < 0)
        return -1;
    Source *found = mem_alloc((size_t)scp.n + 1, sizeof *found);
    for (int64_t i = 0; i < scp.n; i++)
        found[i] = source_of(scp.utts[i], listed_path(list, scp.paths[i]));
    take_sources(found, scp.n, sources);
    sources->named = true;
    mem_free(found);
    wav_scp_release(&scp);
    return 0;
}

// Manifests of other toolkits have the paths among other things.
static int refuse_table(const char *list, const char *first_line, Error *error)
{
    char separator = table_separator(first_line);
    if (separator == '{')
        return error_set(error,
                         "%s is JSON, not a list of recordings; write the paths alone, one a line (jq -r "
                         ".audio_filepath %s)",
                         list, list);
    if (separator && !names_a_file(list, first_line))
        return error_set(
            error,
            "%s is a table with a header, not a list of recordings; write the paths alone, one a line, "
            "or `utt path`",
            list);
    return 0;
}

static int find_in_file(const char *list, AudioSources *sources, Error *error)
{
    char **lines = NULL;
    int64_t n = 0;
    if (lines_load(list, &lines, &n, error) < 0)
        return -1;
    int status = n > 0 ? refuse_table(list, lines[0], error)
                       : error_set(error, "%s is empty: it lists no recordings", list);
    if (status == 0 && is_list_of_paths(list, lines, n))
        take_paths(list, lines, n, sources);
    else if (status == 0)
        status = take_scp(list, sources, error);
    strings_free(lines, n);
    return status < 0 ? -1 : check_distinct(list, sources, error);
}

// --- segments

// Utterances from recordings: the ids of `whole` become those of the segments.
static int cut(const AudioSources *whole, const char *path, const Segments *segments, AudioSources *sources,
               Error *error)
{
    size_t n = (size_t)segments->n;
    sources->utts = mem_zero(n, sizeof(char *));
    sources->names = mem_zero(n, sizeof(char *));
    sources->paths = mem_zero(n, sizeof(char *));
    sources->named = true;
    sources->cuts = mem_alloc(n, sizeof(DecodeCut));
    for (int64_t i = 0; i < segments->n; i++) {
        const Segment *segment = &segments->items[i];
        int64_t at = strings_find(whole->utts, whole->n, segment->recording);
        if (at < 0)
            return error_set(error, "%s:%lld: the wav.scp has no recording %s", path,
                             (long long)segment->line, segment->recording);
        sources->utts[i] = mem_strdup(segment->utt);
        sources->names[i] = mem_strdup(segment->name);
        sources->paths[i] = mem_strdup(whole->paths[at]);
        sources->cuts[i] =
            (DecodeCut){.start = segment->start, .end = segment->end, .channel = segment->channel};
        if (segment->channel < 0 && whole->cuts) {
            sources->cuts[i].channel = whole->cuts[at].channel;
            sources->cuts[i].side_of_call = true;
        }
        sources->n++;
    }
    return 0;
}

static int apply_segments(const char *path, AudioSources *sources, Error *error)
{
    Segments segments;
    AudioSources cut_sources = {0};
    if (segments_load(path, &segments, error) < 0)
        return -1;
    int status = cut(sources, path, &segments, &cut_sources, error);
    segments_release(&segments);
    audio_sources_release(sources);
    *sources = cut_sources;
    return status;
}

// `recording file side`, the side A or B. Recordings that it does not name keep all their channels.
static int apply_sides(const char *path, AudioSources *sources, Error *error)
{
    char **lines = NULL;
    int64_t n = 0;
    if (lines_load(path, &lines, &n, error) < 0)
        return -1;
    sources->cuts = mem_alloc((size_t)sources->n, sizeof(DecodeCut));
    for (int64_t i = 0; i < sources->n; i++)
        sources->cuts[i] = (DecodeCut){.end = -1, .channel = DECODE_ALL_CHANNELS, .side_of_call = true};
    int status = 0;
    for (int64_t i = 0; i < n && status == 0; i++) {
        char *rest = NULL, *recording = strtok_r(lines[i], " \t", &rest),
             *file = strtok_r(NULL, " \t", &rest), *side = strtok_r(NULL, " \t", &rest);
        char *utt = name_to_id(recording);
        int64_t at = strings_find(sources->utts, sources->n, utt);
        mem_free(utt);
        if (!file || !side || side[1] || (side[0] != 'A' && side[0] != 'B'))
            status = error_set(error, "%s: %s: its side is not A or B", path, recording);
        else if (at >= 0)
            sources->cuts[at].channel = side[0] - 'A';
    }
    strings_free(lines, n);
    return status;
}

static int find_in_kaldi_folder(const char *folder, const char *scp, const char *segments,
                                AudioSources *sources, Error *error)
{
    char *beside = path_join(folder, "segments"), *sides = path_join(folder, "reco2file_and_channel");
    int status = find_in_file(scp, sources, error);
    if (status == 0 && file_exists(sides))
        status = apply_sides(sides, sources, error);
    if (status == 0 && (segments || file_exists(beside)))
        status = apply_segments(segments ? segments : beside, sources, error);
    mem_free(sides);
    mem_free(beside);
    return status;
}

static int find(const char *path, const char *segments, AudioSources *sources, Error *error)
{
    if (!folder_exists(path) && !file_exists(path))
        return error_set(error, "%s: no such folder or list of recordings", path);
    if (file_exists(path)) {
        int status = find_in_file(path, sources, error);
        return status == 0 && segments ? apply_segments(segments, sources, error) : status;
    }
    char *scp = path_join(path, "wav.scp");
    int status;
    if (file_exists(scp))
        status = find_in_kaldi_folder(path, scp, segments, sources, error);
    else if (segments)
        status = error_set(error, "%s: segments need a wav.scp that names their recordings", path);
    else
        status = find_in_folder(path, sources, error);
    mem_free(scp);
    return status;
}

int audio_sources_find(const char *path, const char *segments, AudioSources *sources, Error *error)
{
    AudioSources found = {0};
    int status = find(path, segments, &found, error);
    if (status < 0)
        audio_sources_release(&found);
    else
        *sources = found;
    return status;
}

char *audio_source_describe(const AudioSources *sources, int64_t i)
{
    const char *utt = sources->utts[i];
    if (!sources->cuts)
        return mem_strdup(utt);
    const DecodeCut *cut = &sources->cuts[i];
    return mem_printf("%s\t%.17g\t%.17g\t%d%s", utt, cut->start, cut->end, cut->channel,
                      cut->side_of_call ? " of a call" : "");
}

void audio_sources_release(AudioSources *sources)
{
    strings_free(sources->utts, sources->n);
    strings_free(sources->names, sources->n);
    strings_free(sources->paths, sources->n);
    mem_free(sources->cuts);
    *sources = (AudioSources){0};
}
