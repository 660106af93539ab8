#include "cache/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/memory.h"

int lock_folder(const char *folder, Error *error)
{
    char *path = mem_printf("%s/.lock", folder);
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) {
        error_set_errno(error, "%s: cannot open the lock file", path);
    } else if (flock(descriptor, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            error_set(error, "another run is at work in %s; wait for it, or use another folder", folder);
        else
            error_set_errno(error, "%s: cannot lock", path);
        close(descriptor);
        descriptor = -1;
    }
    mem_free(path);
    return descriptor;
}

void lock_release(int descriptor)
{
    if (descriptor >= 0)
        close(descriptor);
}
