#include "cache/publish.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"

enum { BUFFER_BYTES = 1 << 18 };

struct PublishFile {
    char *path, *temporary;
    FILE *stream;
    int descriptor;
    int write_errno; // of the first write that failed; stdio itself forgets it
};

// ".clusters.json.tmp-" for "work/clusters.json"
static char *temporary_prefix(const char *path)
{
    return mem_printf(".%s.tmp-", path_name(path));
}

// A writer holds a lock on its temporary as long as it lives. Its process number would not do to tell: a
// killed process keeps it until somebody waits for it, and another one may get it later.
static bool is_stale(int folder, const char *name)
{
    int descriptor = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    bool stale = flock(descriptor, LOCK_EX | LOCK_NB) == 0;
    close(descriptor);
    return stale;
}

// Removes what a killed process left behind. Failing to is no error: the next run tries again.
static void remove_stale(const char *folder, const char *prefix)
{
    DIR *entries = opendir(folder);
    if (!entries)
        return;
    size_t length = strlen(prefix);
    for (struct dirent *entry; (entry = readdir(entries));)
        if (strncmp(entry->d_name, prefix, length) == 0 && is_stale(dirfd(entries), entry->d_name))
            unlinkat(dirfd(entries), entry->d_name, 0);
    closedir(entries);
}

static ssize_t write_all(void *cookie, const char *data, size_t n_bytes)
{
    PublishFile *file = cookie;
    size_t done = 0;
    while (done < n_bytes) {
        ssize_t wrote = write(file->descriptor, data + done, n_bytes - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            if (!file->write_errno)
                file->write_errno = errno;
            return 0; // what fopencookie() asks for on failure
        }
        done += (size_t)wrote;
    }
    return (ssize_t)n_bytes;
}

static int seek_to(void *cookie, off64_t *offset, int whence)
{
    off64_t at = lseek64(((PublishFile *)cookie)->descriptor, *offset, whence);
    if (at < 0)
        return -1;
    *offset = at;
    return 0;
}

PublishFile *publish_open(const char *path, Error *error)
{
    char *folder = path_folder(path), *prefix = temporary_prefix(path);
    remove_stale(folder, prefix);
    PublishFile *file = mem_zero(1, sizeof *file);
    file->path = mem_strdup(path);
    file->temporary = mem_printf("%s/%s%ld", folder, prefix, (long)getpid());
    mem_free(folder);
    mem_free(prefix);
    file->descriptor = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file->descriptor >= 0 && flock(file->descriptor, LOCK_EX | LOCK_NB) == 0)
        file->stream = fopencookie(file, "wb", (cookie_io_functions_t){.write = write_all, .seek = seek_to});
    if (!file->stream) {
        error_set_errno(error, "cannot write %s", path);
        publish_abandon(file);
        return NULL;
    }
    setvbuf(file->stream, NULL, _IOFBF, BUFFER_BYTES);
    return file;
}

FILE *publish_stream(PublishFile *file)
{
    return file->stream;
}

// The rename itself must survive a power cut. Some file systems cannot sync a folder; that is no failure.
static void sync_folder(const char *path)
{
    char *folder = path_folder(path);
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
    mem_free(folder);
}

static int write_failure(const PublishFile *file, int reason, Error *error)
{
    errno = reason ? reason : EIO;
    const char *remedy = reason == ENOSPC || reason == EDQUOT ? " (free some space and run it again)" : "";
    return error_set_errno(error, "cannot write %s%s", file->path, remedy);
}

int publish_commit(PublishFile *file, Error *error)
{
    int status = 0;
    bool flushed = fflush(file->stream) == 0 && !ferror(file->stream);
    if (!flushed)
        status = write_failure(file, file->write_errno, error);
    else if (fsync(file->descriptor) != 0 && errno != EINVAL && errno != EROFS)
        status = write_failure(file, errno, error);
    else if (rename(file->temporary, file->path) != 0)
        status = write_failure(file, errno, error);
    if (status == 0) {
        sync_folder(file->path);
        mem_free(file->temporary);
        file->temporary = NULL;
    }
    publish_abandon(file);
    return status;
}

void publish_abandon(PublishFile *file)
{
    if (!file)
        return;
    if (file->stream)
        fclose(file->stream);
    if (file->descriptor >= 0)
        close(file->descriptor);
    if (file->temporary && file->descriptor >= 0)
        unlink(file->temporary);
    mem_free(file->temporary);
    mem_free(file->path);
    mem_free(file);
}

int publish_bytes(const char *path, const void *data, size_t n_bytes, Error *error)
{
    PublishFile *file = publish_open(path, error);
    if (!file)
        return -1;
    fwrite(data, 1, n_bytes, file->stream); // commit sees a failure
    return publish_commit(file, error);
}

int publish_text(const char *path, const char *text, Error *error)
{
    return publish_bytes(path, text, strlen(text), error);
}
