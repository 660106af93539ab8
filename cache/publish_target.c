#include "cache/publish_target.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"

enum { LINKS_MOST = 40 }; // as the kernel's own limit

// A link of /proc (/dev/stdout is one) stands for something that is open already: its name is no place.
static bool lies_in_proc(const char *path)
{
    char *folder = path_folder(path);
    struct statfs info;
    bool proc = statfs(folder, &info) == 0 && info.f_type == PROC_SUPER_MAGIC;
    mem_free(folder);
    return proc;
}

// Where the link points, as a path of its own; NULL after error_set().
static char *follow(const char *link, const char *path, Error *error)
{
    char text[PATH_MAX];
    ssize_t length = readlink(link, text, sizeof text - 1);
    if (length < 0) {
        error_set_errno(error, "cannot write %s", path);
        return NULL;
    }
    text[length] = '\0';
    char *folder = path_folder(link), *next = path_join(folder, text);
    mem_free(folder);
    return next;
}

static int refuse_kind(const char *path, mode_t mode, Error *error)
{
    if (S_ISDIR(mode))
        return error_set(error, "cannot write %s: it is a folder; name a file", path);
    return error_set(error, "cannot write %s: it is a %s; name a file", path,
                     S_ISBLK(mode) ? "disk" : "socket");
}

// What the path leads to is there and is no ordinary file.
static int take_special(const char *path, mode_t mode, PublishTarget *target, Error *error)
{
    if (!S_ISCHR(mode) && !S_ISFIFO(mode))
        return refuse_kind(path, mode, error);
    target->is_pipe = S_ISFIFO(mode);
    return 0;
}

// One step from `place`, which `path` has led to. 1: *next is the next place; 0: arrived.
static int step(const char *path, const char *place, PublishTarget *target, char **next, Error *error)
{
    struct stat info, end;
    bool there = lstat(place, &info) == 0;
    if (!there && errno != ENOENT)
        return error_set_errno(error, "cannot write %s", path);
    if (there && !S_ISLNK(info.st_mode) && !S_ISREG(info.st_mode))
        return take_special(path, info.st_mode, target, error);
    if (there && S_ISLNK(info.st_mode)) {
        if (stat(place, &end) == 0 && !S_ISREG(end.st_mode))
            return take_special(path, end.st_mode, target, error);
        if (lies_in_proc(place))
            return 0;
        return (*next = follow(place, path, error)) ? 1 : -1;
    }
    if (!path_name(place)[0])
        return error_set(error, "cannot write %s: it is the name of a folder; name a file", path);
    target->folder = path_folder(place);
    target->name = mem_strdup(path_name(place));
    return 0;
}

int publish_target_find(const char *path, PublishTarget *target, Error *error)
{
    char *place = mem_strdup(path);
    int status = 1;
    *target = (PublishTarget){0};
    for (int n_links = 0; status == 1; n_links++) {
        char *next = NULL;
        status = n_links > LINKS_MOST
                     ? error_set(error, "cannot write %s: it is a link that leads to itself", path)
                     : step(path, place, target, &next, error);
        if (status == 1) {
            mem_free(place);
            place = next;
        }
    }
    mem_free(place);
    return status;
}

void publish_target_release(PublishTarget *target)
{
    mem_free(target->folder);
    mem_free(target->name);
    *target = (PublishTarget){0};
}

char *publish_folder_there(const char *folder)
{
    char *there = mem_strdup(folder);
    while (!folder_exists(there) && strcmp(there, ".") != 0 && strcmp(there, "/") != 0) {
        char *above = path_folder(there);
        mem_free(there);
        there = above;
    }
    return there;
}
