#include "base/folder_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"

enum { SHOWN = 5 }; // warnings

typedef struct FolderId {
    dev_t device;
    ino_t inode;
} FolderId;

typedef struct Strings {
    char **items;
    int64_t n, capacity;
} Strings;

// Open-addressing set of the folders that were walked.
typedef struct FolderSet {
    FolderId *slots; // [capacity], a power of two; inode 0: empty
    size_t n, capacity;
} FolderSet;

typedef struct Walker {
    const char *root;
    Strings files, folders, links, skipped, reasons; // folders, links: still to be walked
    FolderSet walked;
} Walker;

static void strings_add(Strings *strings, const char *text)
{
    if (strings->n == strings->capacity) {
        strings->capacity = strings->capacity ? 2 * strings->capacity : 64;
        strings->items = mem_grow(strings->items, (size_t)strings->capacity, sizeof(char *));
    }
    strings->items[strings->n++] = mem_strdup(text);
}

static void skip(Walker *walker, const char *path, const char *reason)
{
    strings_add(&walker->skipped, path);
    strings_add(&walker->reasons, reason);
}

// --- the set

static bool place_of(const FolderSet *set, FolderId id, size_t *place)
{
    size_t at = ((size_t)id.inode * 0x9E3779B97F4A7C15u + (size_t)id.device) & (set->capacity - 1);
    for (; set->slots[at].inode; at = (at + 1) & (set->capacity - 1))
        if (set->slots[at].inode == id.inode && set->slots[at].device == id.device)
            return *place = at, true;
    *place = at;
    return false;
}

// False: it is in the set already.
static bool set_add(FolderSet *set, FolderId id)
{
    size_t place;
    if (2 * set->n >= set->capacity) {
        FolderSet larger = {.capacity = set->capacity ? 2 * set->capacity : 64};
        larger.slots = mem_zero(larger.capacity, sizeof(FolderId));
        for (size_t i = 0; i < set->capacity; i++)
            if (set->slots[i].inode && !place_of(&larger, set->slots[i], &place))
                larger.slots[place] = set->slots[i];
        larger.n = set->n;
        mem_free(set->slots);
        *set = larger;
    }
    if (place_of(set, id, &place))
        return false;
    set->slots[place] = id;
    set->n++;
    return true;
}

// --- one folder

static void take_entry(Walker *walker, DIR *folder, const char *relative, const char *name)
{
    struct stat info, link;
    char *path = path_join(relative, name);
    if (fstatat(dirfd(folder), name, &link, AT_SYMLINK_NOFOLLOW) != 0)
        skip(walker, path, strerror(errno));
    else if (fstatat(dirfd(folder), name, &info, 0) != 0)
        errno == ELOOP ? skip(walker, path, "a link that leads back to itself")
                       : strings_add(&walker->files, path); // dangling
    else if (S_ISDIR(info.st_mode))
        strings_add(S_ISLNK(link.st_mode) ? &walker->links : &walker->folders, path);
    else if (S_ISREG(info.st_mode))
        strings_add(&walker->files, path);
    else
        skip(walker, path, "a pipe, socket or device, not a file");
    mem_free(path);
}

// relative: below the root, "" for the root itself. Returns an errno, 0 when the folder was read.
static int read_folder(Walker *walker, const char *relative)
{
    char *path = relative[0] ? path_join(walker->root, relative) : mem_strdup(walker->root);
    struct stat info;
    int reason = 0;
    DIR *folder = stat(path, &info) == 0 ? opendir(path) : NULL;
    if (!folder) {
        reason = errno;
    } else if (!set_add(&walker->walked, (FolderId){info.st_dev, info.st_ino})) {
        skip(walker, relative, "a folder whose files are listed under another name, or that holds this one");
    } else {
        errno = 0;
        for (struct dirent *entry; (entry = readdir(folder)); errno = 0)
            if (entry->d_name[0] != '.')
                take_entry(walker, folder, relative, entry->d_name);
        reason = errno;
    }
    if (folder)
        closedir(folder);
    mem_free(path);
    return reason;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// What is on the list of folders, and what is found in them; a folder is closed before the next is opened.
static void read_folders(Walker *walker)
{
    while (walker->folders.n > 0) {
        char *path = walker->folders.items[--walker->folders.n];
        int reason = read_folder(walker, path);
        if (reason)
            skip(walker, path, strerror(reason));
        mem_free(path);
    }
}

static void read_links(Walker *walker)
{
    while (walker->links.n > 0) {
        Strings links = walker->links;
        walker->links = (Strings){0};
        qsort(links.items, (size_t)links.n, sizeof(char *), compare_strings);
        for (int64_t i = 0; i < links.n; i++) {
            strings_add(&walker->folders, links.items[i]);
            read_folders(walker);
        }
        strings_free(links.items, links.n);
    }
}

// --- the whole

// The folders above the root count as walked: a link to one of them is not followed.
static void pass_over_ancestors(Walker *walker)
{
    char *path = realpath(walker->root, NULL);
    struct stat info;
    for (char *slash; path && (slash = strrchr(path, '/')) && path[1];) {
        slash[slash == path] = '\0';
        if (stat(path, &info) == 0)
            set_add(&walker->walked, (FolderId){info.st_dev, info.st_ino});
    }
    free(path); // realpath()'s own
}

static int compare_skipped(const void *a, const void *b)
{
    return strcmp(((char *const *)a)[0], ((char *const *)b)[0]);
}

static void sort_skipped(Walker *walker)
{
    int64_t n = walker->skipped.n;
    char *(*pairs)[2] = mem_alloc((size_t)n + 1, sizeof *pairs);
    for (int64_t i = 0; i < n; i++)
        pairs[i][0] = walker->skipped.items[i], pairs[i][1] = walker->reasons.items[i];
    qsort(pairs, (size_t)n, sizeof *pairs, compare_skipped);
    for (int64_t i = 0; i < n; i++)
        walker->skipped.items[i] = pairs[i][0], walker->reasons.items[i] = pairs[i][1];
    mem_free(pairs);
}

int folder_walk(const char *folder, FolderWalk *walk, Error *error)
{
    Walker walker = {.root = folder};
    pass_over_ancestors(&walker);
    int reason = read_folder(&walker, "");
    if (!reason) {
        read_folders(&walker);
        read_links(&walker);
        if (walker.files.n > 0)
            qsort(walker.files.items, (size_t)walker.files.n, sizeof(char *), compare_strings);
        sort_skipped(&walker);
    }
    mem_free(walker.folders.items);
    mem_free(walker.links.items);
    mem_free(walker.walked.slots);
    FolderWalk found = {walker.files.items, walker.files.n, walker.skipped.items, walker.reasons.items,
                        walker.skipped.n};
    if (!reason) {
        *walk = found;
        return 0;
    }
    folder_walk_release(&found);
    errno = reason;
    return error_set_errno(error, "cannot open the folder %s", folder);
}

void folder_walk_warn(const char *folder, const FolderWalk *walk)
{
    for (int64_t i = 0; i < walk->n_skipped && i < SHOWN; i++)
        log_warn("%s/%s is left out: %s", folder, walk->skipped[i], walk->reasons[i]);
    if (walk->n_skipped > SHOWN)
        log_warn("%" PRId64 " more folders and files below %s are left out for such reasons",
                 walk->n_skipped - SHOWN, folder);
}

void folder_walk_release(FolderWalk *walk)
{
    strings_free(walk->paths, walk->n);
    strings_free(walk->skipped, walk->n_skipped);
    strings_free(walk->reasons, walk->n_skipped);
    *walk = (FolderWalk){0};
}
