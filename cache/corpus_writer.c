#include "cache/corpus_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/text_buffer.h"
#include "cache/corpus.h"
#include "cache/corpus_part.h"
#include "cache/publish.h"
#include "cache/shard.h"

enum { WAV_HEADER_BYTES = CORPUS_WAV_HEADER_BYTES };

struct CorpusWriter {
    CorpusWriterOptions options;
    ShardWriter *shard; // the present one; NULL: none is open
    Digest *digest;     // of its members so far
    int64_t n_shards, n_sources, n_accepted, n_samples, n_renamed;
    TextBuffer utts, rejects, shards, names; // rows that gather until they are published
    TextBuffer
        part; // since the last finished shard: "+" and a row of utts.tsv, or "-" and a row of rejects.tsv
};

static char *in_folder(const CorpusWriter *writer, const char *name)
{
    return path_join(writer->options.folder, name);
}

static char *shard_name(int64_t index)
{
    return mem_printf("audio-%05" PRId64 ".tar.zst", index);
}

static char *shard_path(const CorpusWriter *writer, int64_t index)
{
    return mem_printf("%s/audio-%05" PRId64 ".tar.zst", writer->options.folder, index);
}

static char *part_path(const CorpusWriter *writer, int64_t index)
{
    return mem_printf("%s/.audio-%05" PRId64 ".part", writer->options.folder, index);
}

static bool remove_path(char *path)
{
    bool removed = unlink(path) == 0;
    mem_free(path);
    return removed;
}

static void remove_parts(const CorpusWriter *writer, int64_t from)
{
    while (remove_path(part_path(writer, from)))
        from++;
}

// ---- an interrupted run --------------------------------------------------------------------------------

static void take_row(CorpusWriter *writer, const char *row)
{
    buffer_printf(row[0] == '+' ? &writer->utts : &writer->rejects, "%s\n", row + 1);
    if (row[0] != '+')
        return;
    writer->n_accepted++;
    writer->n_samples += corpus_part_samples(row);
}

// Goes on behind the next finished shard; false: there is none of this recipe.
static bool take_part(CorpusWriter *writer)
{
    CorpusPart part;
    char *path = part_path(writer, writer->n_shards), *shard = shard_path(writer, writer->n_shards);
    bool taken = corpus_part_load(path, shard, writer->options.recipe, writer->n_sources, &part);
    if (taken) {
        writer->n_sources = part.n_sources;
        buffer_printf(&writer->shards, "%s\n", part.shard_row);
        writer->n_shards++;
        for (int64_t i = 0; i < part.n; i++)
            take_row(writer, part.rows[i]);
        corpus_part_release(&part);
    }
    mem_free(shard);
    mem_free(path);
    return taken;
}

// shard_row: of shards.tsv.
static int publish_part(CorpusWriter *writer, const char *shard_row, Error *error)
{
    char *path = part_path(writer, writer->n_shards - 1);
    int status = corpus_part_publish(path, writer->options.recipe, writer->n_sources, shard_row,
                                     buffer_text(&writer->part), error);
    mem_free(path);
    buffer_release(&writer->part);
    return status;
}

// ---- writing -------------------------------------------------------------------------------------------

CorpusWriter *corpus_writer_open(const CorpusWriterOptions *options, int64_t *n_done, Error *error)
{
    if (!folder_exists(options->folder)) {
        error_set(error, "%s is no folder", options->folder);
        return NULL;
    }
    CorpusWriter *writer = mem_zero(1, sizeof *writer);
    writer->options = *options;
    writer->options.folder = mem_strdup(options->folder);
    writer->options.recipe = mem_strdup(options->recipe);
    buffer_printf(&writer->names, "utt\tname\n");
    buffer_printf(&writer->utts, "utt\tshard\tsamples\n");
    buffer_printf(&writer->shards, "shard\tbytes\txxh64\n");
    buffer_printf(&writer->rejects, "path\treason\n");
    while (take_part(writer))
        continue;
    remove_parts(writer, writer->n_shards);
    *n_done = writer->n_sources;
    return writer;
}

static void put_number(char *bytes, uint32_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        bytes[i] = (char)(value >> (8 * i));
}

// A canonical WAV: 44 bytes of header, then the samples, little-endian. The caller frees.
static char *wav_encode(const int16_t *samples, int64_t n, size_t *n_bytes)
{
    uint32_t n_data = (uint32_t)(2 * n);
    char *wav = mem_alloc(WAV_HEADER_BYTES + (size_t)n_data, 1);
    memcpy(wav, "RIFF    WAVEfmt ", 16);
    put_number(wav + 4, WAV_HEADER_BYTES - 8 + n_data, 4);
    put_number(wav + 16, 16, 4); // bytes of the format chunk
    put_number(wav + 20, 1, 2);  // PCM
    put_number(wav + 22, 1, 2);  // channels
    put_number(wav + 24, CORPUS_RATE_HZ, 4);
    put_number(wav + 28, 2 * CORPUS_RATE_HZ, 4); // bytes per second
    put_number(wav + 32, 2, 2);                  // bytes per frame
    put_number(wav + 34, 16, 2);                 // bits per sample
    memcpy(wav + 36, "data", 4);
    put_number(wav + 40, n_data, 4);
    for (int64_t i = 0; i < n; i++)
        put_number(wav + WAV_HEADER_BYTES + 2 * i, (uint16_t)samples[i], 2);
    *n_bytes = WAV_HEADER_BYTES + (size_t)n_data;
    return wav;
}

static int open_shard(CorpusWriter *writer, Error *error)
{
    remove_path(in_folder(writer, "utts.tsv"));
    writer->digest = digest_create();
    char *path = shard_path(writer, writer->n_shards++);
    writer->shard = shard_writer_create(path, writer->options.compression_level, error);
    mem_free(path);
    return writer->shard ? 0 : -1;
}

// "audio-00000.tar.zst", its bytes, the digest of its members: the audio itself, however it was compressed.
static char *finish_shard_row(CorpusWriter *writer)
{
    char hex[17], *name = shard_name(writer->n_shards - 1), *path = shard_path(writer, writer->n_shards - 1);
    struct stat info = {0};
    stat(path, &info);
    digest_finish(writer->digest, hex);
    writer->digest = NULL;
    char *row = mem_printf("%s\t%" PRId64 "\t%s", name, (int64_t)info.st_size, hex);
    mem_free(path);
    mem_free(name);
    return row;
}

static int close_shard(CorpusWriter *writer, Error *error)
{
    ShardWriter *shard = writer->shard;
    writer->shard = NULL;
    if (!shard)
        return 0;
    if (shard_writer_commit(shard, error) < 0)
        return -1;
    char *row = finish_shard_row(writer);
    buffer_printf(&writer->shards, "%s\n", row);
    int status = publish_part(writer, row, error);
    mem_free(row);
    return status;
}

static void add_utt_row(CorpusWriter *writer, const char *utt, int64_t n)
{
    char *shard = shard_name(writer->n_shards - 1);
    buffer_printf(&writer->utts, "%s\t%s\t%" PRId64 "\n", utt, shard, n);
    buffer_printf(&writer->part, "+%s\t%s\t%" PRId64 "\n", utt, shard, n);
    mem_free(shard);
    writer->n_accepted++;
    writer->n_samples += n;
}

int corpus_writer_add(CorpusWriter *writer, const char *utt, const int16_t *samples, int64_t n, Error *error)
{
    bool full = writer->shard && shard_writer_bytes(writer->shard) >= writer->options.shard_bytes;
    if ((full && close_shard(writer, error) < 0) || (!writer->shard && open_shard(writer, error) < 0))
        return -1;
    size_t n_bytes;
    char *wav = wav_encode(samples, n, &n_bytes), *member = mem_printf("%s.wav", utt);
    int status = shard_writer_add(writer->shard, member, wav, n_bytes, error);
    digest_add(writer->digest, member, strlen(member) + 1);
    digest_add(writer->digest, wav, n_bytes);
    mem_free(member);
    mem_free(wav);
    if (status == 0)
        add_utt_row(writer, utt, n);
    writer->n_sources++;
    return status;
}

void corpus_writer_reject(CorpusWriter *writer, const char *utt, const char *reason)
{
    char *clean = text_visible(utt), *sentence = text_visible(reason);
    buffer_printf(&writer->rejects, "%s\t%s\n", clean, sentence);
    buffer_printf(&writer->part, "-%s\t%s\n", clean, sentence);
    mem_free(sentence);
    mem_free(clean);
    writer->n_sources++;
}

void corpus_writer_name(CorpusWriter *writer, const char *utt, const char *name)
{
    char *visible = text_visible(name);
    if (strcmp(utt, name) != 0)
        buffer_printf(&writer->names, "%s\t%s\n", utt, visible);
    writer->n_renamed += strcmp(utt, name) != 0;
    mem_free(visible);
}

int64_t corpus_writer_renamed(const CorpusWriter *writer)
{
    return writer->n_renamed;
}

int64_t corpus_writer_shards(const CorpusWriter *writer)
{
    return writer->n_shards - (writer->shard != NULL);
}

int64_t corpus_writer_accepted(const CorpusWriter *writer)
{
    return writer->n_accepted;
}

int64_t corpus_writer_samples(const CorpusWriter *writer)
{
    return writer->n_samples;
}

// ---- the end -------------------------------------------------------------------------------------------

static int fail_without_utterances(CorpusWriter *writer, Error *error)
{
    const char *first = strchr(buffer_text(&writer->rejects), '\n') + 1;
    int path_length = (int)strcspn(first, "\t\n");
    const char *reason = first + path_length;
    reason += strspn(reason, "\t");
    return error_set(error, "none of the %" PRId64 " recordings can be used; the first, %.*s: %.*s",
                     writer->n_sources, path_length, first, (int)strcspn(reason, "\n"), reason);
}

static int publish_rows(const CorpusWriter *writer, const char *name, const TextBuffer *rows, Error *error)
{
    char *path = in_folder(writer, name);
    int status = publish_text(path, buffer_text(rows), error);
    mem_free(path);
    return status;
}

static int commit(CorpusWriter *writer, Error *error)
{
    if (writer->n_accepted == 0)
        return fail_without_utterances(writer, error);
    if (close_shard(writer, error) < 0)
        return -1;
    // Shards of an earlier corpus that had more of them.
    for (int64_t surplus = writer->n_shards; remove_path(shard_path(writer, surplus)); surplus++)
        continue;
    if (writer->n_renamed == 0)
        remove_path(in_folder(writer, "names.tsv")); // of an earlier corpus
    else if (publish_rows(writer, "names.tsv", &writer->names, error) < 0)
        return -1;
    if (publish_rows(writer, "rejects.tsv", &writer->rejects, error) < 0 ||
        publish_rows(writer, "shards.tsv", &writer->shards, error) < 0 ||
        publish_rows(writer, "utts.tsv", &writer->utts, error) < 0)
        return -1;
    remove_parts(writer, 0);
    return 0;
}

int corpus_writer_commit(CorpusWriter *writer, Error *error)
{
    int status = commit(writer, error);
    corpus_writer_abandon(writer);
    return status;
}

void corpus_writer_abandon(CorpusWriter *writer)
{
    if (!writer)
        return;
    char unused[17];
    shard_writer_abandon(writer->shard);
    if (writer->digest)
        digest_finish(writer->digest, unused);
    buffer_release(&writer->utts);
    buffer_release(&writer->rejects);
    buffer_release(&writer->shards);
    buffer_release(&writer->names);
    buffer_release(&writer->part);
    mem_free((char *)writer->options.folder);
    mem_free((char *)writer->options.recipe);
    mem_free(writer);
}
