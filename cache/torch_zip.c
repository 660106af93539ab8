#include "cache/torch_zip.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <zip.h>
#include "base/memory.h"
#include "base/strange_file.h"

#define PICKLE_NAME "/data.pkl"

struct TorchZip {
    zip_t *archive;
    char *folder; // of the members
    size_t n_bytes;
    size_t n_unread; // what may still be read
};

static bool begins_like_zip(const char *path)
{
    char magic[4] = "";
    FILE *file = fopen(path, "rbe");
    bool zip = file && fread(magic, 1, sizeof magic, file) == sizeof magic && memcmp(magic, "PK\3\4", 4) == 0;
    if (file)
        fclose(file);
    return zip;
}

static int open_archive(TorchZip *zip, const char *path, Error *error)
{
    struct stat info;
    int code = 0;
    if (stat(path, &info) != 0)
        return error_set_errno(error, "cannot open %s", path);
    if (!S_ISREG(info.st_mode))
        return error_set(error, "%s is not a file", path);
    zip->n_bytes = zip->n_unread = (size_t)info.st_size;
    zip->archive = zip_open(path, ZIP_RDONLY, &code);
    if (zip->archive)
        return 0;
    if (code == ZIP_ER_OPEN || code == ZIP_ER_READ)
        return error_set_errno(error, "cannot open %s", path);
    if (code == ZIP_ER_MEMORY)
        return error_set(error, "out of memory while %s was opened; close other programs", path);
    if (begins_like_zip(path))
        return error_set(error, "%s is a damaged or incomplete zip archive; copy it again from its source",
                         path);
    if (strange_file_refuse(path, error) < 0)
        return -1;
    return error_set(error, "%s is not a zip archive; load and save it once with PyTorch 1.6 or newer", path);
}

static int find_folder(TorchZip *zip, const char *path, Error *error)
{
    const size_t tail = sizeof PICKLE_NAME - 1;
    for (int64_t i = 0; i < torch_zip_count(zip); i++) {
        const char *name = zip_get_name(zip->archive, (zip_uint64_t)i, 0);
        size_t length = name ? strlen(name) : 0;
        if (length < tail || strcmp(name + length - tail, PICKLE_NAME) != 0)
            continue;
        if (zip->folder)
            return error_set(error, "%s holds two data.pkl; a PyTorch checkpoint has one", path);
        zip->folder = mem_printf("%.*s", (int)(length - tail), name);
    }
    return zip->folder
               ? 0
               : error_set(error, "%s is a zip archive without a data.pkl: no PyTorch checkpoint", path);
}

static int check_byte_order(TorchZip *zip, const char *path, Error *error)
{
    int64_t member = torch_zip_find(zip, "byteorder");
    char *text;
    size_t n_bytes;
    if (member < 0)
        return 0;
    if (torch_zip_read(zip, member, &text, &n_bytes, error) != 0)
        return error_prefix(error, "%s", path);
    bool little = n_bytes == 6 && memcmp(text, "little", 6) == 0;
    mem_free(text);
    return little ? 0
                  : error_set(error,
                              "%s was saved on a big-endian machine; load and save it on a little-endian one",
                              path);
}

TorchZip *torch_zip_open(const char *path, Error *error)
{
    TorchZip *zip = mem_zero(1, sizeof *zip);
    if (open_archive(zip, path, error) == 0 && find_folder(zip, path, error) == 0 &&
        check_byte_order(zip, path, error) == 0)
        return zip;
    torch_zip_close(zip);
    return NULL;
}

void torch_zip_close(TorchZip *zip)
{
    if (!zip)
        return;
    if (zip->archive)
        zip_discard(zip->archive);
    mem_free(zip->folder);
    mem_free(zip);
}

size_t torch_zip_bytes(const TorchZip *zip)
{
    return zip->n_bytes;
}

int64_t torch_zip_count(const TorchZip *zip)
{
    return zip_get_num_entries(zip->archive, 0);
}

int64_t torch_zip_find(const TorchZip *zip, const char *name)
{
    char *whole = mem_printf("%s/%s", zip->folder, name);
    int64_t member = zip_name_locate(zip->archive, whole, 0);
    mem_free(whole);
    return member;
}

// The name behind the folder, for messages.
static const char *short_name(const TorchZip *zip, int64_t member)
{
    const char *name = zip_get_name(zip->archive, (zip_uint64_t)member, 0);
    return name ? name + strlen(zip->folder) + 1 : "without a name";
}

// libzip compares the checksum when it meets the member's end, so one read must go beyond it.
static int read_whole(TorchZip *zip, int64_t member, char *data, size_t n_bytes, Error *error)
{
    zip_file_t *file = zip_fopen_index(zip->archive, (zip_uint64_t)member, 0);
    const char *reason = file ? NULL : zip_strerror(zip->archive);
    size_t n_read = 0;
    char beyond;
    while (!reason) {
        bool full = n_read == n_bytes;
        zip_int64_t got = zip_fread(file, full ? &beyond : data + n_read, full ? 1 : n_bytes - n_read);
        if (got < 0)
            reason = zip_file_strerror(file);
        else if (got == 0 && !full)
            reason = "it ends early";
        else if (got > 0 && full)
            reason = "it goes on behind its end";
        else if (got == 0)
            break;
        else
            n_read += (size_t)got;
    }
    int status = reason ? error_set(error, "member %s is damaged (%s); copy the file again from its source",
                                    short_name(zip, member), reason)
                        : 0;
    if (file)
        zip_fclose(file);
    return status;
}

int torch_zip_read(TorchZip *zip, int64_t member, char **data, size_t *n_bytes, Error *error)
{
    const zip_uint64_t wanted = ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD;
    zip_stat_t info;
    if (zip_stat_index(zip->archive, (zip_uint64_t)member, 0, &info) != 0 || (info.valid & wanted) != wanted)
        return error_set(error, "member %s is not described", short_name(zip, member));
    if (info.comp_method != ZIP_CM_STORE)
        return error_set(error, "member %s is compressed; load and save the file once with PyTorch",
                         short_name(zip, member));
    if (info.size > zip->n_unread)
        return error_set(error, "member %s is longer than the file has room for", short_name(zip, member));
    char *bytes = mem_try_alloc(info.size + 1, 1, "a member of a PyTorch checkpoint", error);
    if (!bytes)
        return -1;
    zip->n_unread -= info.size;
    if (read_whole(zip, member, bytes, info.size, error) != 0) {
        mem_free(bytes);
        return -1;
    }
    *data = bytes;
    *n_bytes = info.size;
    return 0;
}
