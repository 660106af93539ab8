#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/strange_file.h"

enum { READ_BLOCK = 1 << 18, STREAM_MOST = 1 << 30 };

char *path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder);
    if (length == 0 || name[0] == '/')
        return mem_strdup(name);
    return mem_printf(folder[length - 1] == '/' ? "%s%s" : "%s/%s", folder, name);
}

char *path_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/") : mem_printf("%.*s", (int)(slash - path), path);
}

char *path_beside(const char *path, const char *name)
{
    char *folder = path_folder(path), *beside = path_join(folder, name);
    mem_free(folder);
    return beside;
}

const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

bool file_is_regular(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool folder_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int folder_create(const char *path, Error *error)
{
    if (!path[0])
        return 0;
    char *prefix = mem_strdup(path);
    int status = 0;
    for (char *end = prefix; status == 0 && end;) {
        end = strchr(end + 1, '/');
        if (end)
            *end = '\0';
        int reason = prefix[0] && mkdir(prefix, 0777) != 0 ? errno : 0;
        if (reason && !folder_exists(prefix)) {
            errno = reason; // not what looking for the folder has left there
            status = error_set_errno(error, "cannot create the folder %s", prefix);
        }
        if (end)
            *end = '/';
    }
    mem_free(prefix);
    return status;
}

// No reader of ours expects these, and each would have another wrong sentence for them.
static int refuse_strange(const char *path, const char *data, size_t n_bytes, Error *error)
{
    const char *what = strange_text(data, n_bytes < STRANGE_HEAD_BYTES ? n_bytes : STRANGE_HEAD_BYTES);
    return what ? error_set(error, "%s %s", path, what) : 0;
}

typedef struct Block {
    char *data;
    size_t capacity, length;
} Block;

// The next bytes of the file: 1, 0 at its end, -1.
static int read_more(int descriptor, const char *path, bool is_file, Block *block, Error *error)
{
    if (interrupt_requested())
        return interrupt_fail(error);
    if (!is_file && block->length > STREAM_MOST)
        return error_set(error, "%s goes on beyond %d MiB and is no file; name a file", path,
                         STREAM_MOST >> 20);
    if (block->length + 1 == block->capacity)
        block->data = mem_grow(block->data, block->capacity *= 2, 1);
    ssize_t got = read(descriptor, block->data + block->length, block->capacity - 1 - block->length);
    if (got < 0)
        return errno == EINTR ? 1 : error_set_errno(error, "cannot read %s", path);
    block->length += (size_t)got;
    return got > 0;
}

// The whole of an open file; grows the block where the size is not known beforehand (pipes, /proc).
static int read_all(int descriptor, const char *path, char **data, size_t *n_bytes, Error *error)
{
    struct stat info;
    if (fstat(descriptor, &info) != 0)
        return error_set_errno(error, "cannot read %s", path);
    if (S_ISDIR(info.st_mode))
        return error_set(error, "cannot read %s: it is a folder", path);
    Block block = {.capacity = (size_t)info.st_size + READ_BLOCK};
    if (!(block.data = mem_try_alloc(block.capacity, 1, path, error)))
        return -1;
    int status;
    while ((status = read_more(descriptor, path, S_ISREG(info.st_mode), &block, error)) > 0)
        continue;
    if (status == 0)
        status = refuse_strange(path, block.data, block.length, error);
    if (status < 0) {
        mem_free(block.data);
        return -1;
    }
    block.data[block.length] = '\0';
    *data = block.data;
    *n_bytes = block.length;
    return 0;
}

int file_read(const char *path, char **data, size_t *n_bytes, Error *error)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return error_set_errno(error, "cannot open %s", path);
    int status = read_all(descriptor, path, data, n_bytes, error);
    close(descriptor);
    return status;
}

int file_digest(const char *path, char hex[17], Error *error)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return error_set_errno(error, "cannot open %s", path);
    Digest *digest = digest_create();
    char text[17];
    char *block = mem_alloc(READ_BLOCK, 1);
    size_t got;
    while (!interrupt_requested() && (got = fread(block, 1, READ_BLOCK, file)) > 0)
        digest_add(digest, block, got);
    int status = interrupt_requested() ? interrupt_fail(error)
                 : ferror(file)        ? error_set_errno(error, "cannot read %s", path)
                                       : 0;
    digest_finish(digest, text);
    if (status == 0)
        memcpy(hex, text, sizeof text);
    mem_free(block);
    fclose(file);
    return status;
}

void strings_free(char **strings, int64_t n)
{
    for (int64_t i = 0; strings && i < n; i++)
        mem_free(strings[i]);
    mem_free(strings);
}

double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
