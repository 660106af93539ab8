#include "cache/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum {
    DIGITS = 16,
    NAME_BYTES_MOST = 200,
    TRIES = 100
}; // longer names are cut: file systems allow 255 bytes

struct Temporary {
    int folder, descriptor;
    char *name, *final_name;
    Temporary *next; // of those that this process has
};

// ---- a process that ends in the middle
// ---------------------------------------------------------------------

static Temporary *open_ones;
static pthread_mutex_t open_ones_lock = PTHREAD_MUTEX_INITIALIZER;

// Called when memory has run out (base/memory.h), in whatever state the process is.
static void remove_open_ones(void)
{
    if (pthread_mutex_trylock(&open_ones_lock) != 0)
        return;
    for (Temporary *temporary = open_ones; temporary; temporary = temporary->next)
        unlinkat(temporary->folder, temporary->name, 0);
}

static void remember(Temporary *temporary)
{
    static bool registered;
    pthread_mutex_lock(&open_ones_lock);
    registered = registered || at_quick_exit(remove_open_ones) == 0;
    temporary->next = open_ones;
    open_ones = temporary;
    pthread_mutex_unlock(&open_ones_lock);
}

static void forget(Temporary *temporary)
{
    pthread_mutex_lock(&open_ones_lock);
    for (Temporary **at = &open_ones; *at; at = &(*at)->next)
        if (*at == temporary) {
            *at = temporary->next;
            break;
        }
    pthread_mutex_unlock(&open_ones_lock);
}

static char *prefix_of(const char *name)
{
    return mem_printf(".%.*s.tmp-", NAME_BYTES_MOST, name);
}

// Whether `name` in the folder is the very file that is open.
static bool is_ours(int folder, const char *name, int descriptor)
{
    struct stat open_file, named;
    return fstat(descriptor, &open_file) == 0 && fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

// ---- what dead processes left ----------------------------------------------------------------------------

static bool has_form(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 && strlen(name + length) == DIGITS &&
           strspn(name + length, "0123456789abcdef") == DIGITS;
}

static void remove_if_stale(int folder, const char *name)
{
    struct stat info;
    if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode) ||
        info.st_uid != geteuid())
        return; // opening a pipe would wait
    int descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0)
        return;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 && is_ours(folder, name, descriptor))
        unlinkat(folder, name, 0);
    close(descriptor);
}

// Failing to is no error: the next run tries again.
static void remove_stale(int folder, const char *prefix)
{
    int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = again >= 0 ? fdopendir(again) : NULL;
    if (!entries) {
        if (again >= 0)
            close(again);
        return;
    }
    for (struct dirent *entry; (entry = readdir(entries));)
        if (has_form(entry->d_name, prefix))
            remove_if_stale(folder, entry->d_name);
    closedir(entries);
}

// ---- making one ------------------------------------------------------------------------------------------

static int random_digits(char digits[DIGITS + 1])
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return -1;
    for (int i = 0; i < DIGITS; i++, number >>= 4)
        digits[i] = "0123456789abcdef"[number & 15];
    digits[DIGITS] = '\0';
    return 0;
}

// True: ours. False with errno 0: another process took it for a dead one's before it was locked; try again.
static bool try_name(Temporary *temporary, const char *prefix)
{
    char digits[DIGITS + 1];
    if (random_digits(digits) != 0)
        return false;
    temporary->name = mem_printf("%s%s", prefix, digits);
    temporary->descriptor = openat(temporary->folder, temporary->name,
                                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (temporary->descriptor >= 0) {
        // Where the file system has no locks nobody can take the file for a dead one's either.
        bool locked = flock(temporary->descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
        if (locked && is_ours(temporary->folder, temporary->name, temporary->descriptor))
            return true;
        close(temporary->descriptor);
        temporary->descriptor = -1;
        errno = 0;
    }
    mem_free(temporary->name);
    temporary->name = NULL;
    return false;
}

static void release(Temporary *temporary)
{
    int reason = errno;
    forget(temporary);
    if (temporary->descriptor >= 0)
        close(temporary->descriptor);
    if (temporary->folder >= 0)
        close(temporary->folder);
    mem_free(temporary->name);
    mem_free(temporary->final_name);
    mem_free(temporary);
    errno = reason;
}

Temporary *temporary_create(const char *folder, const char *name)
{
    Temporary *temporary = mem_zero(1, sizeof *temporary);
    temporary->descriptor = -1;
    temporary->final_name = mem_strdup(name);
    temporary->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool made = false;
    if (temporary->folder >= 0) {
        char *prefix = prefix_of(name);
        remove_stale(temporary->folder, prefix);
        for (int i = 0; i < TRIES && !made; i++)
            if (!(made = try_name(temporary, prefix)) && errno != 0 && errno != EEXIST)
                break;
        mem_free(prefix);
    }
    if (!made) {
        release(temporary);
        return NULL;
    }
    remember(temporary);
    return temporary;
}

int temporary_descriptor(const Temporary *temporary)
{
    return temporary->descriptor;
}

int temporary_nameless(void)
{
    const char *folder = getenv("TMPDIR");
    if (!folder || !*folder)
        folder = "/tmp";
    int descriptor = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor >= 0)
        return descriptor;
    char *name = mem_printf("%s/voxloop-XXXXXX", folder); // where the file system knows no nameless files
    if ((descriptor = mkostemp(name, O_CLOEXEC)) >= 0)
        unlink(name);
    mem_free(name);
    return descriptor;
}

// ---- its end ---------------------------------------------------------------------------------------------

void temporary_remove(Temporary *temporary)
{
    if (!temporary)
        return;
    if (is_ours(temporary->folder, temporary->name, temporary->descriptor))
        unlinkat(temporary->folder, temporary->name, 0);
    release(temporary);
}

// The rename itself must survive a power cut. Some file systems cannot sync a folder; that is no failure.
static void sync_folder(int folder)
{
    int descriptor = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return;
    fsync(descriptor);
    close(descriptor);
}

// What has come to stand under the final name since it was looked at must not be lost.
static bool may_replace(const Temporary *temporary)
{
    struct stat info;
    if (fstatat(temporary->folder, temporary->final_name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        S_ISREG(info.st_mode))
        return true;
    errno = S_ISDIR(info.st_mode) ? EISDIR : EEXIST;
    return false;
}

int temporary_sync(Temporary *temporary)
{
    return fsync(temporary->descriptor) == 0 || errno == EINVAL || errno == EROFS ? 0 : -1;
}

int temporary_clear(Temporary *temporary)
{
    if (!may_replace(temporary))
        return -1;
    if (unlinkat(temporary->folder, temporary->final_name, 0) != 0)
        return errno == ENOENT ? 0 : -1;
    sync_folder(temporary->folder);
    return 0;
}

static bool move(Temporary *temporary)
{
    if (temporary_sync(temporary) != 0)
        return false;
    if (!is_ours(temporary->folder, temporary->name, temporary->descriptor)) {
        errno = ESTALE;
        return false;
    }
    return may_replace(temporary) &&
           renameat(temporary->folder, temporary->name, temporary->folder, temporary->final_name) == 0;
}

int temporary_rename(Temporary *temporary)
{
    if (!move(temporary)) {
        int reason = errno;
        temporary_remove(temporary);
        errno = reason;
        return -1;
    }
    sync_folder(temporary->folder);
    release(temporary);
    return 0;
}
