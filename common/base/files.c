#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/memory.h"

enum { READ_BLOCK = 1 << 18, MAX_FOLDER_DEPTH = 200 };

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
        if (prefix[0] && mkdir(prefix, 0777) != 0 && !folder_exists(prefix))
            status = error_set_errno(error, "cannot create the folder %s", prefix);
        if (end)
            *end = '/';
    }
    mem_free(prefix);
    return status;
}

// The whole of an open file; grows the block where the size is not known beforehand (pipes, /proc).
static int read_all(int descriptor, const char *path, char **data, size_t *n_bytes, Error *error)
{
    struct stat info;
    if (fstat(descriptor, &info) != 0)
        return error_set_errno(error, "cannot read %s", path);
    if (S_ISDIR(info.st_mode))
        return error_set(error, "cannot read %s: it is a folder", path);
    size_t capacity = (size_t)info.st_size + READ_BLOCK, length = 0;
    char *block = mem_try_alloc(capacity, 1, path, error);
    if (!block)
        return -1;
    for (;;) {
        if (length + 1 == capacity)
            block = mem_grow(block, capacity *= 2, 1);
        ssize_t got = read(descriptor, block + length, capacity - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            mem_free(block);
            return error_set_errno(error, "cannot read %s", path);
        }
        if (got == 0)
            break;
        length += (size_t)got;
    }
    block[length] = '\0';
    *data = block;
    *n_bytes = length;
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
    while ((got = fread(block, 1, READ_BLOCK, file)) > 0)
        digest_add(digest, block, got);
    int status = ferror(file) ? error_set_errno(error, "cannot read %s", path) : 0;
    digest_finish(digest, text);
    if (status == 0)
        memcpy(hex, text, sizeof text);
    mem_free(block);
    fclose(file);
    return status;
}

// One walk: the files found so far, and the folders from the root to the present one (to notice loops).
typedef struct Walk {
    const char *root;
    char **paths;
    int64_t n_paths, capacity;
    struct {
        dev_t device;
        ino_t inode;
    } ancestors[MAX_FOLDER_DEPTH];
    int depth;
} Walk;

static void walk_add(Walk *walk, const char *path)
{
    if (walk->n_paths == walk->capacity) {
        walk->capacity = walk->capacity ? 2 * walk->capacity : 64;
        walk->paths = mem_grow(walk->paths, (size_t)walk->capacity, sizeof *walk->paths);
    }
    walk->paths[walk->n_paths++] = mem_strdup(path);
}

static int walk_enter(Walk *walk, const char *path, const struct stat *info, Error *error)
{
    if (walk->depth == MAX_FOLDER_DEPTH)
        return error_set(error, "%s: folders are nested more than %d deep", path, MAX_FOLDER_DEPTH);
    for (int i = 0; i < walk->depth; i++)
        if (walk->ancestors[i].device == info->st_dev && walk->ancestors[i].inode == info->st_ino)
            return error_set(error, "%s is a link to a folder that contains it; remove the link", path);
    walk->ancestors[walk->depth].device = info->st_dev;
    walk->ancestors[walk->depth++].inode = info->st_ino;
    return 0;
}

// relative: below the root, "" for the root itself.
static int walk_folder(Walk *walk, const char *relative, Error *error)
{
    char *path = relative[0] ? path_join(walk->root, relative) : mem_strdup(walk->root);
    DIR *folder = NULL;
    struct stat info;
    int status = 0, depth = walk->depth;
    if (stat(path, &info) != 0 || !(folder = opendir(path)))
        status = error_set_errno(error, "cannot open the folder %s", path);
    else
        status = walk_enter(walk, path, &info, error);
    for (struct dirent *entry; status == 0 && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        char *name = path_join(relative, entry->d_name);
        bool found = fstatat(dirfd(folder), entry->d_name, &info, 0) == 0;
        if (found && S_ISDIR(info.st_mode))
            status = walk_folder(walk, name, error);
        else if (!found || S_ISREG(info.st_mode))
            walk_add(walk, name);
        mem_free(name);
    }
    if (folder)
        closedir(folder);
    walk->depth = depth;
    mem_free(path);
    return status;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int folder_walk(const char *folder, char ***paths, int64_t *n_paths, Error *error)
{
    Walk *walk = mem_zero(1, sizeof *walk);
    walk->root = folder;
    int status = walk_folder(walk, "", error);
    if (status == 0) {
        if (walk->n_paths)
            qsort(walk->paths, (size_t)walk->n_paths, sizeof *walk->paths, compare_strings);
        *paths = walk->paths;
        *n_paths = walk->n_paths;
    } else {
        strings_free(walk->paths, walk->n_paths);
    }
    mem_free(walk);
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
