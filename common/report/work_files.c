#include "report/work_files.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"

static bool is_read(const char *name)
{
    static const char *const ENDINGS[] = {".json", ".log", ".txt", ".tar.zst"};
    size_t length = strlen(name);
    bool read = false;
    for (size_t i = 0; i < sizeof ENDINGS / sizeof ENDINGS[0]; i++) {
        size_t ending = strlen(ENDINGS[i]);
        read |= length > ending && strcmp(name + length - ending, ENDINGS[i]) == 0;
    }
    return read && strncmp(name, "audio-", strlen("audio-")) != 0; // shards of recordings
}

// The entries of a folder that begin with no dot, sorted; none where it cannot be read.
static int list(const char *folder, struct dirent ***entries)
{
    int n = scandir(folder, entries, NULL, alphasort);
    return n < 0 ? 0 : n;
}

static void add_folder(const char *folder, const char *part, char ***names, char ***paths, int64_t *n)
{
    char *path = path_join(folder, part);
    struct dirent **entries = NULL;
    int n_entries = list(path, &entries);
    for (int i = 0; i < n_entries; i++) {
        const char *name = entries[i]->d_name;
        if (name[0] != '.' && is_read(name)) {
            *names = mem_grow(*names, (size_t)*n + 1, sizeof(char *));
            *paths = mem_grow(*paths, (size_t)*n + 1, sizeof(char *));
            (*names)[*n] = path_join(part, name);
            (*paths)[(*n)++] = path_join(path, name);
        }
        free(entries[i]);
    }
    free(entries);
    mem_free(path);
}

int work_files(const char *folder, char ***names, char ***paths, int64_t *n, Error *error)
{
    if (!folder_exists(folder))
        return error_set(error, "cannot open the folder %s", folder);
    *names = *paths = NULL;
    *n = 0;
    struct dirent **entries = NULL;
    int n_entries = list(folder, &entries);
    for (int i = 0; i < n_entries; i++) {
        if (entries[i]->d_name[0] != '.')
            add_folder(folder, entries[i]->d_name, names, paths, n);
        free(entries[i]);
    }
    free(entries);
    return 0;
}
