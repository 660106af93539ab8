#include "cache/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum { TRIES = 100 };

// Who holds the lock wrote its process number into the file; 0 where it has not done so yet.
static long holder(int descriptor)
{
    char text[32] = "";
    return pread(descriptor, text, sizeof text - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

static void sign(int descriptor)
{
    // Only for the other's sentence: a full disk is no reason to refuse the lock.
    if (ftruncate(descriptor, 0) == 0)
        dprintf(descriptor, "%ld\n", (long)getpid());
}

// Whether the path still names the file that is open: who held the lock before may have removed it.
static bool still_there(const char *path, int descriptor)
{
    struct stat open_file, named;
    return fstat(descriptor, &open_file) == 0 && lstat(path, &named) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

static int refuse(const char *folder, const char *path, int descriptor, Error *error)
{
    if (errno == EWOULDBLOCK)
        return error_set(error,
                         "another run (process %ld) is at work in %s; wait for it, or use another folder",
                         holder(descriptor), folder);
    return error_set_errno(error, "%s: cannot lock", path);
}

// The descriptor, locked; -1 after error_set(), -2: it was replaced meanwhile.
static int try_lock(const char *folder, const char *path, Error *error)
{
    struct stat info;
    int descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666), status = 0;
    if (descriptor < 0)
        return error_set_errno(error, "%s: cannot open the lock file", path);
    if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode))
        status = error_set(error, "%s is not a lock file; remove it", path);
    else if (flock(descriptor, LOCK_EX | LOCK_NB) < 0)
        status = refuse(folder, path, descriptor, error);
    else if (!still_there(path, descriptor))
        status = -2;
    if (status == 0)
        return descriptor;
    close(descriptor);
    return status;
}

int lock_folder(const char *folder, Error *error)
{
    char *path = mem_printf("%s/.lock", folder);
    int descriptor = -2;
    for (int i = 0; i < TRIES && descriptor == -2; i++)
        descriptor = try_lock(folder, path, error);
    if (descriptor == -2)
        descriptor = error_set(error, "%s: cannot lock: it is replaced again and again", path);
    else if (descriptor >= 0)
        sign(descriptor);
    mem_free(path);
    return descriptor;
}

void lock_release(int descriptor)
{
    if (descriptor >= 0)
        close(descriptor);
}

int lock_remove(const char *folder, int descriptor)
{
    char *path = mem_printf("%s/.lock", folder);
    int status = descriptor >= 0 && still_there(path, descriptor) ? unlink(path) : -1;
    lock_release(descriptor);
    mem_free(path);
    return status;
}
