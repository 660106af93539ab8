#include "cache/corpus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "cache/lists.h"
#include "cache/names.h"
#include "cache/shard.h"

enum { WAV_HEADER_BYTES = CORPUS_WAV_HEADER_BYTES };

typedef struct Utterance {
    int64_t shard, member, samples;
} Utterance;

struct Corpus {
    char *folder;
    char **utts; // [n], sorted
    Utterance *utterances;
    int64_t n;
    char **shard_names;
    ShardReader **shards;
    int64_t n_shards;
    OpenFiles *pool; // there may be more shards than files may be open
};

// Opening thousands of them takes a while: an interrupt ends it.
static int64_t open_shard(Corpus *corpus, const char *name, Error *error)
{
    for (int64_t s = corpus->n_shards; s-- > 0;)
        if (strcmp(corpus->shard_names[s], name) == 0)
            return s;
    if (interrupt_requested())
        return interrupt_fail(error);
    char *path = path_join(corpus->folder, name);
    ShardReader *reader = strchr(name, '/') ? NULL : shard_reader_open_in(corpus->pool, path, error);
    mem_free(path);
    if (!reader)
        return error_set(error, "%s/utts.tsv: %s is no shard of this folder", corpus->folder, name);
    int64_t s = corpus->n_shards++;
    corpus->shards = mem_grow(corpus->shards, (size_t)corpus->n_shards, sizeof *corpus->shards);
    corpus->shard_names = mem_grow(corpus->shard_names, (size_t)corpus->n_shards, sizeof(char *));
    corpus->shards[s] = reader;
    corpus->shard_names[s] = mem_strdup(name);
    return s;
}

// One line: utt, shard, samples.
static int parse_utterance(Corpus *corpus, const char *line, int64_t number, Error *error)
{
    char *copy = mem_strdup(line), *end = NULL;
    char *shard = strchr(copy, '\t'), *samples = shard ? strchr(shard + 1, '\t') : NULL;
    int64_t count = -1;
    if (samples) {
        *shard++ = '\0';
        *samples++ = '\0';
        count = strtoll(samples, &end, 10);
    }
    int status = 0;
    if (count < 0 || end == samples || *end)
        status = error_set(error, "%s/utts.tsv:%" PRId64 ": expected utterance, shard and number of samples",
                           corpus->folder, number);
    else if (corpus->n > 0 && strcmp(corpus->utts[corpus->n - 1], copy) >= 0)
        status = error_set(error,
                           "%s/utts.tsv:%" PRId64 ": the utterances are not sorted; prepare the folder again",
                           corpus->folder, number);
    else if (!name_is_id(copy))
        status = error_set(error, "%s/utts.tsv:%" PRId64 ": `%.80s` is no id; prepare the folder again",
                           corpus->folder, number, copy);
    int64_t s = status == 0 ? open_shard(corpus, shard, error) : -1;
    if (s >= 0) {
        char *name = mem_printf("%s.wav", copy);
        int64_t member = shard_reader_find(corpus->shards[s], name);
        if (member < 0 ||
            shard_reader_size(corpus->shards[s], member) != WAV_HEADER_BYTES + 2 * (uint64_t)count)
            status =
                error_set(error, "%s/%s does not hold %s with %" PRId64 " samples; prepare the folder again",
                          corpus->folder, shard, name, count);
        mem_free(name);
        corpus->utterances[corpus->n] = (Utterance){s, member, count};
        corpus->utts[corpus->n++] = mem_strdup(copy);
    }
    mem_free(copy);
    return s < 0 ? -1 : status;
}

static int load_table(Corpus *corpus, Error *error)
{
    char *path = path_join(corpus->folder, "utts.tsv"), **lines = NULL;
    int64_t n_lines = 0;
    int status = -1;
    if (!file_exists(path)) {
        error_set(error, "%s holds no utts.tsv; make the folder with voxloop-prepare", corpus->folder);
    } else if (own_lines_load(path, &lines, &n_lines, error) == 0) {
        status = n_lines > 1 ? 0 : error_set(error, "%s lists no utterances", path);
        corpus->utts = mem_zero((size_t)n_lines, sizeof(char *));
        corpus->utterances = mem_zero((size_t)n_lines, sizeof(Utterance));
        for (int64_t i = 1; status == 0 && i < n_lines; i++) // line 0 is the header
            status = parse_utterance(corpus, lines[i], i + 1, error);
    }
    strings_free(lines, n_lines);
    mem_free(path);
    return status;
}

Corpus *corpus_open(const char *folder, Error *error)
{
    Corpus *corpus = mem_zero(1, sizeof *corpus);
    corpus->folder = mem_strdup(folder);
    corpus->pool = open_files_create(0);
    if (load_table(corpus, error) < 0) {
        corpus_close(corpus);
        return NULL;
    }
    return corpus;
}

void corpus_close(Corpus *corpus)
{
    if (!corpus)
        return;
    for (int64_t s = 0; s < corpus->n_shards; s++)
        shard_reader_close(corpus->shards[s]);
    open_files_destroy(corpus->pool);
    strings_free(corpus->shard_names, corpus->n_shards);
    strings_free(corpus->utts, corpus->n);
    mem_free(corpus->shards);
    mem_free(corpus->utterances);
    mem_free(corpus->folder);
    mem_free(corpus);
}

const char *corpus_folder(const Corpus *corpus)
{
    return corpus->folder;
}

int64_t corpus_count(const Corpus *corpus)
{
    return corpus->n;
}

const char *corpus_utt(const Corpus *corpus, int64_t index)
{
    return corpus->utts[index];
}

char *const *corpus_utts(const Corpus *corpus)
{
    return corpus->utts;
}

int64_t corpus_samples(const Corpus *corpus, int64_t index)
{
    return corpus->utterances[index].samples;
}

int64_t corpus_find(const Corpus *corpus, const char *utt)
{
    return strings_find(corpus->utts, corpus->n, utt);
}

int corpus_read(const Corpus *corpus, int64_t index, int64_t start, int64_t count, float *samples,
                Error *error)
{
    const Utterance *utterance = &corpus->utterances[index];
    if (start < 0 || count < 0 || start > utterance->samples || count > utterance->samples - start)
        return error_set(error, "%s has %" PRId64 " samples, wanted %" PRId64 " from %" PRId64 " on",
                         corpus->utts[index], utterance->samples, count, start);
    int16_t *pcm = mem_alloc((size_t)count, sizeof *pcm);
    int status = shard_reader_read(corpus->shards[utterance->shard], utterance->member,
                                   WAV_HEADER_BYTES + 2 * (size_t)start, 2 * (size_t)count, pcm, error);
    for (int64_t i = 0; status == 0 && i < count; i++)
        samples[i] = (float)pcm[i] / 32768.0f;
    mem_free(pcm);
    return status;
}
