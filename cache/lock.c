#include "cache/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/memory.h"

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

int lock_folder(const char *folder, Error *error)
{
    char *path = mem_printf("%s/.lock", folder);
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) {
        error_set_errno(error, "%s: cannot open the lock file", path);
    } else if (flock(descriptor, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            error_set(error, "another run (process %ld) is at work in %s; wait for it, or use another folder",
                      holder(descriptor), folder);
        else
            error_set_errno(error, "%s: cannot lock", path);
        close(descriptor);
        descriptor = -1;
    } else {
        sign(descriptor);
    }
    mem_free(path);
    return descriptor;
}

void lock_release(int descriptor)
{
    if (descriptor >= 0)
        close(descriptor);
}
