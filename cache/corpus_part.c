#include "cache/corpus_part.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/text_buffer.h"
#include "cache/corpus.h"
#include "cache/lists.h"
#include "cache/publish.h"
#include "cache/shard.h"

enum { LINES_IN_FRONT = 3, DIGITS = 16 };

static void add_line(Digest *digest, const char *line)
{
    digest_add(digest, line, strlen(line));
    digest_add(digest, "\n", 1);
}

int corpus_part_publish(const char *path, const char *recipe, int64_t n_sources, const char *shard_row,
                        const char *rows, Error *error)
{
    char hex[DIGITS + 1];
    TextBuffer text = {0};
    Digest *digest = digest_create();
    buffer_printf(&text, "%s\n%" PRId64 "\n%s\n%s", recipe, n_sources, shard_row, rows);
    digest_add(digest, text.data, text.n_bytes);
    digest_finish(digest, hex);
    buffer_printf(&text, "%s\n", hex);
    int status = publish_text(path, buffer_text(&text), error);
    buffer_release(&text);
    return status;
}

// ---- what a part has to be -------------------------------------------------------------------------------

static bool digest_fits(char *const *lines, int64_t n_lines)
{
    char hex[DIGITS + 1];
    Digest *digest = digest_create();
    for (int64_t i = 0; i < n_lines - 1; i++)
        add_line(digest, lines[i]);
    digest_finish(digest, hex);
    return strcmp(hex, lines[n_lines - 1]) == 0;
}

// A whole number up to 10^15 in `length` digits; -1: it is none.
static int64_t number_of(const char *digits, size_t length)
{
    if (length == 0 || length > 15 || strspn(digits, "0123456789") < length)
        return -1;
    return strtoll(digits, NULL, 10);
}

int64_t corpus_part_samples(const char *row)
{
    const char *tab = strrchr(row, '\t');
    return tab ? number_of(tab + 1, strlen(tab + 1)) : -1;
}

// "+utt, shard, samples": the shard holds it so.
static bool utterance_fits(const char *row, const ShardReader *shard, const char *shard_name)
{
    const char *name = strchr(row, '\t'), *samples = name ? strchr(name + 1, '\t') : NULL;
    int64_t n = samples && !strchr(samples + 1, '\t') ? corpus_part_samples(row) : -1;
    if (n < 0 || (size_t)(samples - name - 1) != strlen(shard_name) ||
        strncmp(name + 1, shard_name, strlen(shard_name)) != 0)
        return false;
    char *member_name = mem_printf("%.*s.wav", (int)(name - row - 1), row + 1);
    int64_t member = shard_reader_find(shard, member_name);
    mem_free(member_name);
    return member >= 0 && shard_reader_size(shard, member) == CORPUS_WAV_HEADER_BYTES + 2 * (size_t)n;
}

// "-path, reason"
static bool reject_is_whole(const char *row)
{
    const char *tab = strchr(row, '\t');
    return tab && tab > row + 1 && tab[1] && !strchr(tab + 1, '\t');
}

// Every member has its row, and every other row says why there is none.
static bool rows_fit(const CorpusPart *part, const ShardReader *shard, const char *shard_name)
{
    int64_t n_utterances = 0;
    for (int64_t i = 0; i < part->n; i++) {
        const char *row = part->rows[i];
        bool is_utterance = row[0] == '+';
        if (is_utterance ? !utterance_fits(row, shard, shard_name) : row[0] != '-' || !reject_is_whole(row))
            return false;
        n_utterances += is_utterance;
    }
    return n_utterances == shard_reader_count(shard);
}

// "audio-00000.tar.zst, bytes, digest"
static bool shard_row_fits(const char *row, const char *shard, const char *shard_name)
{
    struct stat info;
    size_t length = strlen(shard_name);
    const char *n_bytes = row + length + 1, *tab = strlen(row) > length ? strchr(n_bytes, '\t') : NULL;
    return tab && strncmp(row, shard_name, length) == 0 && row[length] == '\t' && stat(shard, &info) == 0 &&
           number_of(n_bytes, (size_t)(tab - n_bytes)) == info.st_size && strlen(tab + 1) == DIGITS &&
           strspn(tab + 1, "0123456789abcdef") == DIGITS;
}

static bool fits_shard(const CorpusPart *part, const char *shard)
{
    const char *name = path_name(shard);
    ShardReader *reader =
        shard_row_fits(part->shard_row, shard, name) ? shard_reader_open(shard, NULL) : NULL;
    bool fits = reader && rows_fit(part, reader, name);
    shard_reader_close(reader);
    return fits;
}

bool corpus_part_load(const char *path, const char *shard, const char *recipe, int64_t n_before,
                      CorpusPart *part)
{
    *part = (CorpusPart){0};
    if (!file_exists(path) || own_lines_load(path, &part->lines, &part->n_lines, NULL) < 0)
        return false;
    if (part->n_lines > LINES_IN_FRONT + 1 && strcmp(part->lines[0], recipe) == 0 &&
        digest_fits(part->lines, part->n_lines)) {
        part->n_sources = number_of(part->lines[1], strlen(part->lines[1]));
        part->shard_row = part->lines[2];
        part->rows = part->lines + LINES_IN_FRONT;
        part->n = part->n_lines - LINES_IN_FRONT - 1;
        if (part->n_sources == n_before + part->n && fits_shard(part, shard))
            return true;
    }
    corpus_part_release(part);
    return false;
}

void corpus_part_release(CorpusPart *part)
{
    strings_free(part->lines, part->n_lines);
    *part = (CorpusPart){0};
}
