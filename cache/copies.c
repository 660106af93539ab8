#include "cache/copies.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/files.h"
#include "base/memory.h"
#include "cache/lists.h"
#include "cache/shard.h"

enum { WAV_HEADER_BYTES = 44, FIRST_ROOM = 1024 };

typedef struct Content {
    uint64_t digest;
    int64_t n_samples; // 0: an empty place
    int64_t source;
} Content;

// Open addressing with linear probing, at most half full.
struct Copies {
    Content *places; // [room]
    int64_t room, n;
};

Copies *copies_create(void)
{
    Copies *copies = mem_alloc(1, sizeof *copies);
    *copies = (Copies){mem_zero(FIRST_ROOM, sizeof(Content)), FIRST_ROOM, 0};
    return copies;
}

void copies_destroy(Copies *copies)
{
    if (!copies)
        return;
    mem_free(copies->places);
    mem_free(copies);
}

uint64_t copies_digest(const int16_t *samples, int64_t n)
{
    char hex[17];
    Digest *digest = digest_create();
    digest_add(digest, samples, (size_t)n * sizeof *samples);
    digest_finish(digest, hex);
    return strtoull(hex, NULL, 16);
}

// Where the content is, or the empty place where it belongs.
static Content *place_of(const Copies *copies, uint64_t digest, int64_t n_samples)
{
    uint64_t at = digest % (uint64_t)copies->room;
    for (;; at = (at + 1) % (uint64_t)copies->room) {
        Content *place = &copies->places[at];
        if (place->n_samples == 0 || (place->digest == digest && place->n_samples == n_samples))
            return place;
    }
}

static void grow(Copies *copies)
{
    Copies larger = {mem_zero(2 * (size_t)copies->room, sizeof(Content)), 2 * copies->room, copies->n};
    for (int64_t i = 0; i < copies->room; i++)
        if (copies->places[i].n_samples > 0)
            *place_of(&larger, copies->places[i].digest, copies->places[i].n_samples) = copies->places[i];
    mem_free(copies->places);
    *copies = larger;
}

int64_t copies_find(Copies *copies, uint64_t digest, int64_t n_samples, int64_t source)
{
    if (2 * (copies->n + 1) > copies->room)
        grow(copies);
    Content *place = place_of(copies, digest, n_samples);
    if (place->n_samples > 0)
        return place->source;
    *place = (Content){digest, n_samples, source};
    copies->n++;
    return -1;
}

// A member `<utt>.wav`, whole.
static int take_member(Copies *copies, ShardReader *reader, int64_t member, char *const *sources,
                       int64_t n_sources, Error *error)
{
    const char *name = shard_reader_name(reader, member), *ending = strrchr(name, '.');
    char *utt = mem_printf("%.*s", ending ? (int)(ending - name) : 0, name);
    int64_t source = strings_find(sources, n_sources, utt);
    uint64_t n_bytes = shard_reader_size(reader, member);
    mem_free(utt);
    if (source < 0 || n_bytes <= WAV_HEADER_BYTES)
        return 0;
    size_t n_data = (size_t)n_bytes - WAV_HEADER_BYTES;
    int16_t *samples = mem_alloc(n_data, 1);
    int status = shard_reader_read(reader, member, WAV_HEADER_BYTES, n_data, samples, error);
    if (status == 0)
        copies_find(copies, copies_digest(samples, (int64_t)n_data / 2), (int64_t)n_data / 2, source);
    mem_free(samples);
    return status;
}

int copies_take_shard(Copies *copies, const char *shard, char *const *sources, int64_t n_sources,
                      Error *error)
{
    ShardReader *reader = shard_reader_open(shard, error);
    int status = reader ? 0 : -1;
    for (int64_t m = 0; status == 0 && m < shard_reader_count(reader); m++)
        status = take_member(copies, reader, m, sources, n_sources, error);
    shard_reader_close(reader);
    return status;
}

int copies_load(const Corpus *corpus, CopyRow **rows, int64_t *n, Error *error)
{
    char *path = path_join(corpus_folder(corpus), "rejects.tsv"), **lines = NULL;
    int64_t n_lines = 0;
    *n = 0;
    *rows = NULL;
    int status = file_exists(path) ? own_lines_load(path, &lines, &n_lines, error) : 0;
    *rows = mem_alloc((size_t)n_lines + 1, sizeof(CopyRow));
    for (int64_t i = 1; i < n_lines; i++) { // line 0 is the header
        char *reason = strchr(lines[i], '\t');
        if (!reason || strncmp(reason + 1, COPY_REASON, strlen(COPY_REASON)) != 0)
            continue;
        int64_t first = corpus_find(corpus, reason + 1 + strlen(COPY_REASON));
        *reason = '\0';
        if (first >= 0)
            (*rows)[(*n)++] = (CopyRow){mem_strdup(lines[i]), first};
    }
    strings_free(lines, n_lines);
    mem_free(path);
    return status;
}

void copies_release(CopyRow *rows, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        mem_free(rows[i].utt);
    mem_free(rows);
}
