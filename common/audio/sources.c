#include "audio/sources.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/files.h"
#include "base/folder_walk.h"
#include "base/memory.h"
#include "cache/lists.h"
#include "cache/segments.h"

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

static int find_in_folder(const char *folder, AudioSources *sources, Error *error)
{
    FolderWalk found;
    if (folder_walk(folder, &found, error) < 0)
        return -1;
    folder_walk_warn(folder, &found);
    sources->utts = mem_zero((size_t)found.n + 1, sizeof(char *));
    sources->paths = mem_zero((size_t)found.n + 1, sizeof(char *));
    for (int64_t i = 0; i < found.n; i++) {
        if (!is_recording(found.paths[i])) {
            sources->n_ignored++;
            continue;
        }
        sources->utts[sources->n] = mem_strdup(found.paths[i]);
        sources->paths[sources->n++] = path_join(folder, found.paths[i]);
    }
    folder_walk_release(&found);
    if (sources->n == 0)
        return error_set(error, "%s is empty: no recordings in it (%lld other files)", folder,
                         (long long)sources->n_ignored);
    return 0;
}

// The utterance is the path as it stands in the list, but for slashes in front.
static const char *utt_of(const char *line)
{
    return line + strspn(line, "/");
}

static int compare_utts(const void *left, const void *right)
{
    return strcmp(utt_of(*(char *const *)left), utt_of(*(char *const *)right));
}

static int take_list(const char *path, char **lines, int64_t n, AudioSources *sources, Error *error)
{
    qsort(lines, (size_t)n, sizeof(char *), compare_utts);
    sources->utts = mem_zero((size_t)n + 1, sizeof(char *));
    sources->paths = mem_zero((size_t)n + 1, sizeof(char *));
    for (int64_t i = 0; i < n; i++) {
        if (i > 0 && compare_utts(&lines[i - 1], &lines[i]) == 0)
            return error_set(error, "%s lists %s twice", path, lines[i]);
        sources->utts[i] = mem_strdup(utt_of(lines[i]));
        sources->paths[i] = mem_strdup(lines[i]);
        sources->n++;
    }
    return 0;
}

static int find_in_file(const char *path, AudioSources *sources, Error *error)
{
    char **lines = NULL;
    int64_t n = 0;
    if (lines_load(path, &lines, &n, error) < 0)
        return -1;
    int status = 0;
    if (n == 0) {
        status = error_set(error, "%s is empty: it lists no recordings", path);
    } else if (strpbrk(lines[0], " \t") && !file_exists(lines[0])) {
        WavScp scp = {0};
        status = wav_scp_load(path, &scp, error);
        *sources = (AudioSources){.utts = scp.utts, .paths = scp.paths, .n = scp.n};
    } else {
        status = take_list(path, lines, n, sources, error);
    }
    strings_free(lines, n);
    return status;
}

// --- segments

// Utterances from recordings: the ids of `whole` become those of the segments.
static int cut(const AudioSources *whole, const char *path, const Segments *segments, AudioSources *sources,
               Error *error)
{
    size_t n = (size_t)segments->n;
    sources->utts = mem_zero(n, sizeof(char *));
    sources->paths = mem_zero(n, sizeof(char *));
    sources->starts = mem_alloc(n, sizeof(double));
    sources->ends = mem_alloc(n, sizeof(double));
    for (int64_t i = 0; i < segments->n; i++) {
        const Segment *segment = &segments->items[i];
        int64_t at = strings_find(whole->utts, whole->n, segment->recording);
        if (at < 0)
            return error_set(error, "%s:%lld: the wav.scp has no recording %s", path,
                             (long long)segment->line, segment->recording);
        sources->utts[i] = mem_strdup(segment->utt);
        sources->paths[i] = mem_strdup(whole->paths[at]);
        sources->starts[i] = segment->start;
        sources->ends[i] = segment->end;
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

static int find_in_kaldi_folder(const char *folder, const char *scp, const char *segments,
                                AudioSources *sources, Error *error)
{
    char *beside = path_join(folder, "segments");
    int status = find_in_file(scp, sources, error);
    if (status == 0 && (segments || file_exists(beside)))
        status = apply_segments(segments ? segments : beside, sources, error);
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
    return sources->starts ? mem_printf("%s\t%.17g\t%.17g", utt, sources->starts[i], sources->ends[i])
                           : mem_strdup(utt);
}

void audio_sources_release(AudioSources *sources)
{
    strings_free(sources->utts, sources->n);
    strings_free(sources->paths, sources->n);
    mem_free(sources->starts);
    mem_free(sources->ends);
    *sources = (AudioSources){0};
}
