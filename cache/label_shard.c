#include "cache/label_shard.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text_buffer.h"
#include "cache/npy.h"
#include "cache/shard.h"

enum { COMPRESSION_LEVEL = 3 };

static int add_matrix(ShardWriter *writer, const char *name, const float *matrix, int64_t rows, int64_t cols,
                      Error *error)
{
    char *data;
    size_t n_bytes;
    if (npy_encode(matrix, rows, cols, &data, &n_bytes, error) < 0)
        return -1;
    int status = shard_writer_add(writer, name, data, n_bytes, error);
    mem_free(data);
    return status;
}

static int add_utt2spk(ShardWriter *writer, const LabelShard *labels, Error *error)
{
    TextBuffer text = {0};
    for (int64_t i = 0; i < labels->n; i++)
        buffer_printf(&text, "%s c%05" PRId64 "\n", labels->utts[i], labels->ids[i]);
    int status = shard_writer_add(writer, "utt2spk", buffer_text(&text), text.n_bytes, error);
    buffer_release(&text);
    return status;
}

int label_shard_publish(const char *path, const LabelShard *labels, Error *error)
{
    ShardWriter *writer = shard_writer_create(path, COMPRESSION_LEVEL, error);
    if (!writer)
        return -1;
    if (add_utt2spk(writer, labels, error) < 0 ||
        add_matrix(writer, "centroids.npy", labels->centroids, labels->n_clusters, labels->dim, error) < 0 ||
        (labels->merges &&
         add_matrix(writer, "merges.npy", labels->merges, labels->n_merges, 4, error) < 0) ||
        add_matrix(writer, "mean.npy", labels->mean, 1, labels->input_dim, error) < 0 ||
        (labels->directions && add_matrix(writer, "directions.npy", labels->directions, labels->dim,
                                          labels->input_dim, error) < 0)) {
        shard_writer_abandon(writer);
        return -1;
    }
    return shard_writer_commit(writer, error);
}

int label_shard_load(const char *path, LabelList *labels, Error *error)
{
    ShardReader *reader = shard_reader_open(path, error);
    if (!reader)
        return -1;
    char *text = NULL;
    size_t n_bytes = 0;
    int status = shard_reader_load(reader, "utt2spk", &text, &n_bytes, error);
    if (status == 0 && strlen(text) != n_bytes)
        status = error_set(error, "%s is damaged: its utt2spk holds a NUL byte; make it again", path);
    if (status == 0)
        status = labels_parse(path, text, labels, error);
    mem_free(text);
    shard_reader_close(reader);
    return status;
}

int64_t label_shard_number(const char *name)
{
    char *end;
    if (name[0] != 'c' || name[1] < '0' || name[1] > '9')
        return -1;
    long long number = strtoll(name + 1, &end, 10);
    return *end ? -1 : number;
}

int labels_load_any(const char *path, char *const *known_utts, int64_t n_known, LabelList *labels,
                    Error *error)
{
    const char *form, *ending = strrchr(path, '.');
    if (ending && strcmp(ending, ".zst") == 0)
        return label_shard_load(path, labels, error);
    return labels_load(path, known_utts, n_known, labels, &form, error);
}
