#include "cache/publish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/passage.h"
#include "cache/publish_target.h"
#include "cache/temporary.h"

enum { BUFFER_BYTES = 1 << 18, CHECK_BYTES = 1 << 16 };

struct PublishFile {
    char *path;
    Temporary *temporary; // NULL: the path is written through
    FILE *stream;
    int descriptor;  // the temporary's, or our own
    int write_errno; // of the first write that failed; stdio itself forgets it
};

static int write_failure(const char *path, int reason, Error *error)
{
    errno = reason ? reason : EIO;
    const char *remedy = reason == ENOSPC || reason == EDQUOT ? " (free some space and run it again)" : "";
    return error_set_errno(error, "cannot write %s%s", path, remedy);
}

// ---- the stream ------------------------------------------------------------------------------------------

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

static int open_stream(PublishFile *file)
{
    file->stream = fopencookie(file, "wb", (cookie_io_functions_t){.write = write_all, .seek = seek_to});
    if (!file->stream)
        return -1;
    setvbuf(file->stream, NULL, _IOFBF, BUFFER_BYTES);
    return 0;
}

// ---- opening ---------------------------------------------------------------------------------------------

// In the target's folder, or without a name for what is written through.
static int open_descriptor(PublishFile *file, const PublishTarget *target)
{
    if (target->name) {
        file->temporary = temporary_create(target->folder, target->name);
        file->descriptor = file->temporary ? temporary_descriptor(file->temporary) : -1;
    } else {
        file->descriptor = temporary_nameless();
    }
    return file->descriptor < 0 ? -1 : 0;
}

PublishFile *publish_open(const char *path, Error *error)
{
    PublishTarget target;
    PublishFile *file = mem_zero(1, sizeof *file);
    file->path = mem_strdup(path);
    file->descriptor = -1;
    int status = publish_target_find(path, &target, error);
    if (status == 0 && target.folder && !folder_exists(target.folder))
        status = folder_create(target.folder, error);
    if (status == 0 && (open_descriptor(file, &target) < 0 || open_stream(file) < 0))
        status = write_failure(path, errno, error);
    publish_target_release(&target);
    if (status == 0)
        return file;
    publish_abandon(file);
    return NULL;
}

FILE *publish_stream(PublishFile *file)
{
    return file->stream;
}

bool publish_is_through(const char *path)
{
    PublishTarget target;
    bool through = publish_target_find(path, &target, NULL) == 0 && !target.name;
    publish_target_release(&target);
    return through;
}

int publish_check(const char *path, Error *error)
{
    static const char zeros[CHECK_BYTES];
    PublishTarget target;
    int status = publish_target_find(path, &target, error);
    if (status == 0 && target.name) {
        char *folder = publish_folder_there(target.folder);
        Temporary *temporary = temporary_create(folder, target.name);
        errno = temporary ? 0 : errno;
        // Some file systems find out that they are full only when the bytes go to the disk.
        if (!temporary || write(temporary_descriptor(temporary), zeros, sizeof zeros) != sizeof zeros ||
            (fsync(temporary_descriptor(temporary)) != 0 && (errno == ENOSPC || errno == EDQUOT)))
            status = write_failure(path, errno ? errno : ENOSPC, error);
        temporary_remove(temporary);
        mem_free(folder);
    }
    publish_target_release(&target);
    return status;
}

// ---- the end ---------------------------------------------------------------------------------------------

static int flush(PublishFile *file, Error *error)
{
    return fflush(file->stream) == 0 && !ferror(file->stream)
               ? 0
               : write_failure(file->path, file->write_errno, error);
}

static int finish(PublishFile *file, Error *error)
{
    if (flush(file, error) < 0)
        return -1;
    if (!file->temporary)
        return passage_copy(file->descriptor, file->path, error);
    Temporary *temporary = file->temporary;
    file->temporary = NULL;
    file->descriptor = -1; // was the temporary's
    return temporary_rename(temporary) == 0 ? 0 : write_failure(file->path, errno, error);
}

int publish_commit(PublishFile *file, Error *error)
{
    int status = finish(file, error);
    publish_abandon(file);
    return status;
}

// On disk as far as it can be before it has its name.
static int settle(PublishFile *file, Error *error)
{
    if (flush(file, error) < 0)
        return -1;
    return !file->temporary || temporary_sync(file->temporary) == 0 ? 0
                                                                    : write_failure(file->path, errno, error);
}

int publish_commit_pair(PublishFile *companion, PublishFile *main, Error *error)
{
    int status = settle(companion, error) == 0 ? settle(main, error) : -1;
    if (status == 0 && main->temporary && temporary_clear(main->temporary) < 0)
        status = write_failure(main->path, errno, error);
    if (status == 0) {
        status = publish_commit(companion, error);
        companion = NULL;
    }
    if (status == 0) {
        status = publish_commit(main, error);
        main = NULL;
    }
    publish_abandon(companion);
    publish_abandon(main);
    return status;
}

void publish_abandon(PublishFile *file)
{
    if (!file)
        return;
    if (file->stream)
        fclose(file->stream); // what is left in its buffer goes to the descriptor, or nowhere
    if (file->temporary)
        temporary_remove(file->temporary);
    else if (file->descriptor >= 0)
        close(file->descriptor);
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
