// voxloop-inspect: what is in an artefact. The kind is told from the first bytes, not from the name.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/text.h"
#include "cache/corpus.h"
#include "cache/lists.h"
#include "cache/npy.h"
#include "cache/safetensors.h"
#include "cache/shard.h"

static int64_t n_shown = 10; // members, tensors or utterances per file

// "... and 17 more" behind a list that was cut.
static void print_rest(int64_t n)
{
    if (n > n_shown)
        text_print_line(stdout, "  ... and %" PRId64 " more (--limit N shows more)", n - n_shown);
}

// Reads every member piece by piece, since only that verifies the checksums of all frames.
static int verify_members(const ShardReader *reader, Error *error)
{
    enum { PIECE_BYTES = 1 << 20 };
    char *piece = mem_alloc(PIECE_BYTES, 1);
    int status = 0;
    for (int64_t i = 0; i < shard_reader_count(reader) && status == 0; i++) {
        size_t n_bytes = shard_reader_size(reader, i);
        for (size_t at = 0; at < n_bytes && status == 0; at += PIECE_BYTES) {
            size_t count = n_bytes - at < PIECE_BYTES ? n_bytes - at : PIECE_BYTES;
            status = interrupt_requested() ? interrupt_fail(error)
                                           : shard_reader_read(reader, i, at, count, piece, error);
        }
    }
    mem_free(piece);
    return status;
}

static int inspect_shard(const char *path, Error *error)
{
    ShardReader *reader = shard_reader_open(path, error);
    if (!reader)
        return -1;
    if (verify_members(reader, error) != 0) {
        shard_reader_close(reader);
        return -1;
    }
    int64_t n = shard_reader_count(reader);
    size_t total = 0;
    for (int64_t i = 0; i < n; i++)
        total += shard_reader_size(reader, i);
    char text[32];
    text_print_line(stdout, "%s: shard, %" PRId64 " members, %s unpacked", path, n,
                    log_bytes(text, (double)total));
    for (int64_t i = 0; i < n && i < n_shown; i++)
        text_print_line(stdout, "  %12zu  %s", shard_reader_size(reader, i), shard_reader_name(reader, i));
    print_rest(n);
    shard_reader_close(reader);
    return 0;
}

static int inspect_npy(const char *path, Error *error)
{
    float *matrix;
    int64_t rows, cols;
    if (npy_load(path, &matrix, &rows, &cols, error) != 0)
        return -1;
    text_print_line(stdout, "%s: npy matrix [%" PRId64 ", %" PRId64 "]", path, rows, cols);
    mem_free(matrix);
    return 0;
}

static void print_tensor(const SafeTensor *tensor)
{
    printf("  %s [", tensor->stored);
    for (int i = 0; i < tensor->n_dims; i++)
        printf(i ? ", %" PRId64 : "%" PRId64, tensor->dim[i]);
    text_print_line(stdout, "] %s", tensor->name);
}

static int inspect_safetensors(const char *path, Error *error)
{
    SafeReader *reader = safe_open(path, error);
    if (!reader)
        return -1;
    int64_t n = safe_count(reader), n_values = 0;
    for (int64_t i = 0; i < n; i++)
        n_values += safe_at(reader, i)->n_elements;
    text_print_line(stdout, "%s: safetensors, %" PRId64 " tensors, %" PRId64 " values", path, n, n_values);
    const char *value;
    for (int64_t i = 0; safe_metadata_at(reader, i, &value); i++)
        text_print_line(stdout, "  %s: %s", safe_metadata_at(reader, i, &value), value);
    for (int64_t i = 0; i < n && i < n_shown; i++)
        print_tensor(safe_at(reader, i));
    print_rest(n);
    safe_close(reader);
    return 0;
}

static int inspect_corpus(const char *folder, Error *error)
{
    Corpus *corpus = corpus_open(folder, error);
    if (!corpus)
        return -1;
    int64_t n = corpus_count(corpus), total = 0, shortest = INT64_MAX, longest = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t samples = corpus_samples(corpus, i);
        total += samples;
        shortest = samples < shortest ? samples : shortest;
        longest = samples > longest ? samples : longest;
    }
    text_print_line(stdout, "%s: prepared audio, %" PRId64 " utterances, %.2f hours, %.1f to %.1f s each",
                    folder, n, (double)total / CORPUS_RATE_HZ / 3600, (double)shortest / CORPUS_RATE_HZ,
                    (double)longest / CORPUS_RATE_HZ);
    for (int64_t i = 0; i < n && i < n_shown; i++)
        text_print_line(stdout, "  %8.2f s  %s", (double)corpus_samples(corpus, i) / CORPUS_RATE_HZ,
                        corpus_utt(corpus, i));
    print_rest(n);
    corpus_close(corpus);
    return 0;
}

static int inspect_labels(const char *path, Error *error)
{
    LabelList list;
    const char *form;
    if (labels_load(path, NULL, 0, &list, &form, error) != 0)
        return error_prefix(error, "%s is no shard, npy, safetensors, JSON or list", path);
    int64_t *sizes = mem_zero((size_t)list.n_labels + 1, sizeof *sizes), largest = 0, n_single = 0;
    for (int64_t i = 0; i < list.n; i++)
        sizes[list.labels[i]]++;
    for (int64_t k = 0; k < list.n_labels; k++) {
        largest = sizes[k] > largest ? sizes[k] : largest;
        n_single += sizes[k] == 1;
    }
    text_print_line(stdout,
                    "%s: labels (%s), %" PRId64 " utterances, %" PRId64 " labels, largest %" PRId64
                    ", %" PRId64 " singletons",
                    path, form, list.n, list.n_labels, largest, n_single);
    mem_free(sizes);
    labels_release(&list);
    return 0;
}

// cJSON lays its text out with tabs, which stay.
static void print_json_line(char *line)
{
    for (char *part; (part = strsep(&line, "\t"));) {
        char *visible = text_visible(part);
        printf("%s%s", visible, line ? "\t" : "\n");
        mem_free(visible);
    }
}

static int inspect_json(const char *path, Error *error)
{
    char *data;
    size_t n_bytes;
    if (file_read(path, &data, &n_bytes, error) != 0)
        return -1;
    cJSON *value = cJSON_ParseWithLength(data, n_bytes);
    int status = value ? 0 : error_set(error, "%s begins like JSON but is damaged", path);
    if (value) {
        char *text = cJSON_Print(value), *rest = text, *line;
        text_print_line(stdout, "%s: JSON", path);
        while ((line = text_next_line(&rest)))
            print_json_line(line);
        cJSON_free(text);
    }
    cJSON_Delete(value);
    mem_free(data);
    return status;
}

// The first 9 bytes tell all binary kinds apart: safetensors has its JSON header's brace behind the length.
static int inspect_file(const char *path, Error *error)
{
    char head[9] = {0};
    FILE *file = fopen(path, "rbe");
    if (!file)
        return error_set_errno(error, "cannot open %s", path);
    size_t got = fread(head, 1, sizeof head, file);
    fclose(file);
    if (got >= 4 && memcmp(head, "\x28\xB5\x2F\xFD", 4) == 0)
        return inspect_shard(path, error);
    if (got >= 6 && memcmp(head, "\x93NUMPY", 6) == 0)
        return inspect_npy(path, error);
    if (got == 9 && head[8] == '{' && head[7] == '\0')
        return inspect_safetensors(path, error);
    if (got >= 1 && (head[0] == '{' || head[0] == '['))
        return inspect_json(path, error);
    return inspect_labels(path, error);
}

static int inspect(const char *path, Error *error)
{
    if (folder_exists(path))
        return inspect_corpus(path, error);
    if (strcmp(path_name(path), "utts.tsv") != 0)
        return inspect_file(path, error);
    char *folder = path_folder(path);
    int status = inspect_corpus(folder, error);
    mem_free(folder);
    return status;
}

int main(int argc, char **argv)
{
    const Option options[] = {
        option_neutral(option_integer("limit", &n_shown, 0, 1e12,
                                      "members, tensors or utterances that are listed per file")),
        {0}};
    Program program = {.name = "inspect",
                       .summary = "says what is in the artefacts of the loop.",
                       .usage = "[options] FILE...",
                       .operands = "FILE...",
                       .quiet = true,
                       .details =
                           "FILE: a shard, .npy, .safetensors, .json, a label list, or a folder that "
                           "voxloop-prepare has made. Checksums are verified where the file carries them."};
    program_begin(&program, options, argc, argv);
    if (program.n_files == 0)
        program_misuse(&program, "no FILE given; --help says what can be inspected");
    Error error = {0};
    for (int64_t i = 0; i < program.n_files; i++)
        if (inspect(program.files[i], &error) != 0)
            return program_fail(&program, &error);
    return fflush(stdout) == 0
               ? 0
               : program_fail(&program, (error_set_errno(&error, "cannot write the output"), &error));
}
