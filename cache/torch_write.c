#include "cache/torch_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <zip.h>
#include "base/files.h"
#include "base/memory.h"
#include "base/text_buffer.h"
#include "cache/publish.h"

enum { FIRST_DAY = 0x21 }; // 1980-01-01 in a zip archive's calendar: equal content, equal bytes

static void put_byte(TextBuffer *out, int byte)
{
    buffer_add(out, &(char){(char)byte}, 1);
}

// Opcodes and what they are followed by; no zeros in it.
static void put_code(TextBuffer *out, const char *code)
{
    buffer_add(out, code, strlen(code));
}

static void put_number(TextBuffer *out, int64_t number, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        put_byte(out, (int)((uint64_t)number >> 8 * i & 0xff));
}

static void put_text(TextBuffer *out, const char *text)
{
    size_t n_bytes = strlen(text);
    put_byte(out, 'X'); // BINUNICODE
    put_number(out, (int64_t)n_bytes, 4);
    buffer_add(out, text, n_bytes);
}

static void put_integer(TextBuffer *out, int64_t number)
{
    bool is_short = number >= INT32_MIN && number <= INT32_MAX;
    put_code(out, is_short ? "J" : "\x8a\x08"); // BININT, or LONG1 of 8 bytes
    put_number(out, number, is_short ? 4 : 8);
}

static void put_real(TextBuffer *out, double number)
{
    int64_t bits;
    memcpy(&bits, &number, sizeof bits);
    put_byte(out, 'G'); // BINFLOAT, big-endian
    put_number(out, (int64_t)__builtin_bswap64((uint64_t)bits), 8);
}

static void put_integers(TextBuffer *out, const int64_t *numbers, int n)
{
    put_byte(out, '(');
    for (int i = 0; i < n; i++)
        put_integer(out, numbers[i]);
    put_byte(out, 't');
}

// _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks), with the storage named by the
// persistent id ("storage", type, key, device, elements)
static void put_tensor(TextBuffer *out, const SafeTensor *tensor, int64_t index)
{
    char key[24];
    int64_t stride[8], step = 1;
    snprintf(key, sizeof key, "%lld", (long long)index);
    for (int i = tensor->n_dims; i-- > 0; step *= tensor->dim[i] > 0 ? tensor->dim[i] : 1)
        stride[i] = step;
    put_code(out, "ctorch._utils\n_rebuild_tensor_v2\n((");
    put_text(out, "storage");
    put_code(out, "ctorch\nFloatStorage\n");
    put_text(out, key);
    put_text(out, "cpu");
    put_integer(out, tensor->n_elements);
    put_code(out, "tQ");
    put_integer(out, 0);
    put_integers(out, tensor->dim, tensor->n_dims);
    put_integers(out, stride, tensor->n_dims);
    put_code(out, "\x89"
                  "ccollections\nOrderedDict\n)RtR");
}

static void put_tensors(TextBuffer *out, const SafeTensor *tensors, int64_t n_tensors)
{
    put_code(out, "}(");
    for (int64_t i = 0; i < n_tensors; i++) {
        put_text(out, tensors[i].name);
        put_tensor(out, &tensors[i], i);
    }
    put_byte(out, 'u');
}

static int put_setting(TextBuffer *out, const cJSON *item, Error *error)
{
    double number = item->valuedouble;
    put_text(out, item->string);
    if (cJSON_IsBool(item))
        put_byte(out, cJSON_IsTrue(item) ? 0x88 : 0x89);
    else if (cJSON_IsString(item))
        put_text(out, item->valuestring);
    else if (!cJSON_IsNumber(item))
        return error_set(error, "cfg.%s is neither a number nor a boolean nor text", item->string);
    else if (number >= -0x1p53 && number <= 0x1p53 && (double)(int64_t)number == number)
        put_integer(out, (int64_t)number);
    else
        put_real(out, number);
    return 0;
}

static int put_cfg(TextBuffer *out, const cJSON *cfg, Error *error)
{
    const cJSON *item;
    put_text(out, "cfg");
    put_code(out, "}(");
    cJSON_ArrayForEach(item, cfg)
    {
        if (put_setting(out, item, error) != 0)
            return -1;
    }
    put_byte(out, 'u');
    return 0;
}

static int put_root(TextBuffer *out, const char *group, const cJSON *cfg, const SafeTensor *tensors,
                    int64_t n_tensors, Error *error)
{
    put_code(out, "\x80\x02"); // protocol 2
    if (group) {
        put_code(out, "}(");
        put_text(out, group);
    }
    put_tensors(out, tensors, n_tensors);
    if (cfg && put_cfg(out, cfg, error) != 0)
        return -1;
    put_code(out, group ? "u." : ".");
    return 0;
}

typedef struct Sink {
    FILE *stream;
    zip_error_t error;
} Sink;

static zip_int64_t sink_result(Sink *sink, bool ok, zip_int64_t result)
{
    if (ok)
        return result;
    zip_error_set(&sink->error, ZIP_ER_WRITE, errno);
    return -1;
}

// libzip's view of the stream that is being published: an empty file to write to.
static zip_int64_t sink_call(void *user, void *data, zip_uint64_t n_bytes, zip_source_cmd_t command)
{
    Sink *sink = user;
    const zip_source_args_seek_t *seek = data;
    switch (command) {
    case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_WRITABLE;
    case ZIP_SOURCE_STAT:
        zip_stat_init(data);
        return sizeof(zip_stat_t);
    case ZIP_SOURCE_WRITE:
        return sink_result(sink, fwrite(data, 1, n_bytes, sink->stream) == n_bytes, (zip_int64_t)n_bytes);
    case ZIP_SOURCE_TELL_WRITE:
        return sink_result(sink, true, ftello(sink->stream));
    case ZIP_SOURCE_SEEK_WRITE:
        return sink_result(sink, fseeko(sink->stream, seek->offset, seek->whence) == 0, 0);
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&sink->error, data, n_bytes);
    case ZIP_SOURCE_READ:
    case ZIP_SOURCE_SEEK:
    case ZIP_SOURCE_TELL:
    case ZIP_SOURCE_REMOVE:
        return sink_result(sink, false, 0);
    default:
        return 0; // opening, committing and freeing are publish_open()'s and publish_commit()'s
    }
}

// data must live until the archive is closed.
static int add_member(zip_t *archive, const char *folder, const char *name, const void *data, size_t n_bytes)
{
    zip_source_t *source = zip_source_buffer(archive, data, n_bytes, 0);
    char *whole = mem_printf("%s/%s", folder, name);
    zip_int64_t index = source ? zip_file_add(archive, whole, source, 0) : -1;
    mem_free(whole);
    if (index < 0) {
        zip_source_free(source);
        return -1;
    }
    return zip_set_file_compression(archive, (zip_uint64_t)index, ZIP_CM_STORE, 0) != 0 ||
                   zip_file_set_dostime(archive, (zip_uint64_t)index, 0, FIRST_DAY, 0) != 0
               ? -1
               : 0;
}

// "wavlm" for "models/wavlm.pt"
static char *folder_of(const char *path)
{
    const char *name = path_name(path), *dot = strrchr(name, '.');
    int length = (int)(dot ? (size_t)(dot - name) : strlen(name));
    return length ? mem_printf("%.*s", length, name) : mem_strdup("archive");
}

static int add_members(zip_t *archive, const char *path, const char *pickle, size_t n_pickle,
                       const SafeTensor *tensors, int64_t n_tensors)
{
    char *folder = folder_of(path), name[32];
    int status = add_member(archive, folder, "data.pkl", pickle, n_pickle);
    if (status == 0)
        status = add_member(archive, folder, "byteorder", "little", 6);
    for (int64_t i = 0; i < n_tensors && status == 0; i++) {
        snprintf(name, sizeof name, "data/%lld", (long long)i);
        status =
            add_member(archive, folder, name, tensors[i].data, (size_t)tensors[i].n_elements * sizeof(float));
    }
    if (status == 0)
        status = add_member(archive, folder, "version", "3\n", 2);
    mem_free(folder);
    return status;
}

static int write_archive(FILE *stream, const char *path, const char *pickle, size_t n_pickle,
                         const SafeTensor *tensors, int64_t n_tensors, Error *error)
{
    Sink sink = {.stream = stream};
    zip_error_t reason;
    zip_error_init(&reason);
    zip_error_init(&sink.error);
    zip_source_t *target = zip_source_function_create(sink_call, &sink, &reason);
    zip_t *archive = target ? zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, &reason) : NULL;
    int status = 0;
    if (!archive) {
        zip_source_free(target);
        status = error_set(error, "cannot write %s: %s", path, zip_error_strerror(&reason));
    } else if (add_members(archive, path, pickle, n_pickle, tensors, n_tensors) != 0 ||
               zip_close(archive) != 0) {
        status = error_set(error, "cannot write %s: %s", path, zip_strerror(archive));
        zip_discard(archive);
    }
    zip_error_fini(&reason);
    zip_error_fini(&sink.error);
    return status;
}

static int publish_archive(const char *path, const char *pickle, size_t n_pickle, const SafeTensor *tensors,
                           int64_t n_tensors, Error *error)
{
    PublishFile *file = publish_open(path, error);
    if (!file)
        return -1;
    if (write_archive(publish_stream(file), path, pickle, n_pickle, tensors, n_tensors, error) == 0)
        return publish_commit(file, error);
    publish_abandon(file);
    return -1;
}

int torch_publish(const char *path, const char *group, const cJSON *cfg, const SafeTensor *tensors,
                  int64_t n_tensors, Error *error)
{
    for (int64_t i = 0; i < n_tensors; i++)
        if (tensors[i].type != SAFE_F32)
            return error_set(error, "cannot write %s: tensor %s is not of type F32", path, tensors[i].name);
    TextBuffer pickle = {0};
    int status = put_root(&pickle, group, group ? cfg : NULL, tensors, n_tensors, error);
    if (status == 0)
        status = publish_archive(path, pickle.data, pickle.n_bytes, tensors, n_tensors, error);
    buffer_release(&pickle);
    return status;
}
