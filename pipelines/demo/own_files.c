#include "demo/own_files.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/folder_walk.h"
#include "base/memory.h"
#include "cache/lists.h"
#include "cache/publish.h"

static const char RECORD[] = ".made.tsv", UNFINISHED[] = "-";
static const char *const PARTS[] = {"train", "test"};

typedef struct OwnFiles {
    OwnFile *items; // [n]
    int64_t n, capacity;
} OwnFiles;

static void add(OwnFiles *files, const char *name, const char *digest)
{
    if (files->n == files->capacity) {
        files->capacity = 2 * files->capacity + 64;
        files->items = mem_grow(files->items, (size_t)files->capacity, sizeof(OwnFile));
    }
    OwnFile *file = &files->items[files->n++];
    file->name = mem_strdup(name);
    snprintf(file->digest, sizeof file->digest, "%s", digest);
}

static int compare(const void *left, const void *right)
{
    return strcmp(((const OwnFile *)left)->name, ((const OwnFile *)right)->name);
}

static const OwnFile *find(const OwnFiles *files, const char *name)
{
    if (files->n == 0)
        return NULL;
    return bsearch(&(OwnFile){.name = (char *)name}, files->items, (size_t)files->n, sizeof(OwnFile),
                   compare);
}

void own_files_free(OwnFile *files, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        mem_free(files[i].name);
    mem_free(files);
}

// ---- the record ----------------------------------------------------------------------------------------

// Takes column 0 as a name and the given column as its digest. A table with another header (NULL: any) is
// somebody else's and names nothing.
static int load_table(const char *folder, const char *name, const char *header, int digest_column,
                      OwnFiles *files, Error *error)
{
    char *path = path_join(folder, name), **lines = NULL;
    int64_t n = 0;
    int status = lines_load(path, &lines, &n, error);
    bool ours = n > 0 && (!header || strncmp(lines[0], header, strlen(header)) == 0);
    for (int64_t i = header ? 1 : 0; i < n && ours; i++) {
        char *digest = lines[i];
        for (int column = 0; column < digest_column && digest; column++)
            if ((digest = strchr(digest, '\t')))
                *digest++ = '\0';
        if (digest) {
            digest[strcspn(digest, "\t")] = '\0';
            add(files, lines[i], digest);
        }
    }
    strings_free(lines, n);
    mem_free(path);
    return status;
}

static bool is_in(const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    bool there = access(path, F_OK) == 0;
    mem_free(path);
    return there;
}

static int load_record(const char *folder, const OwnFile *planned, int64_t n_planned, OwnFiles *record,
                       Error *error)
{
    int status = 0;
    if (is_in(folder, RECORD)) {
        status = load_table(folder, RECORD, NULL, 1, record, error);
    } else if (is_in(folder, "corpus.tsv")) {
        // Its lists had no digests: they go with it.
        status = load_table(folder, "corpus.tsv", "utt\tvoice\tespeak\t", 7, record, error);
        for (int64_t i = 0; i < n_planned && record->n > 0; i++)
            if (!strchr(planned[i].name, '/'))
                add(record, planned[i].name, UNFINISHED);
    }
    if (record->n > 0)
        qsort(record->items, (size_t)record->n, sizeof(OwnFile), compare);
    return status;
}

static int publish_record(const char *folder, const OwnFile *files, int64_t n, Error *error)
{
    char *path = path_join(folder, RECORD);
    PublishFile *out = publish_open(path, error);
    int status = -1;
    if (out) {
        for (int64_t i = 0; i < n; i++)
            fprintf(publish_stream(out), "%s\t%s\n", files[i].name, files[i].digest);
        status = publish_commit(out, error);
    }
    mem_free(path);
    return status;
}

// What will be made, and what is there and will be removed.
static int publish_plan(const char *folder, const OwnFile *planned, int64_t n, const OwnFiles *present,
                        Error *error)
{
    OwnFiles all = {0};
    for (int64_t i = 0; i < n; i++)
        add(&all, planned[i].name, UNFINISHED);
    qsort(all.items, (size_t)n, sizeof(OwnFile), compare);
    for (int64_t i = 0; i < present->n; i++)
        if (!find(&(OwnFiles){all.items, n, n}, present->items[i].name))
            add(&all, present->items[i].name, present->items[i].digest);
    int status = publish_record(folder, all.items, all.n, error);
    own_files_free(all.items, all.n);
    return status;
}

// ---- what is there ---------------------------------------------------------------------------------------

static int find_in_part(const char *folder, const char *part, OwnFiles *present, Error *error)
{
    char *below = path_join(folder, part);
    FolderWalk found = {0};
    int status = folder_create(below, error);
    if (status == 0)
        status = folder_walk(below, &found, error);
    for (int64_t i = 0; i < found.n; i++) {
        char *name = path_join(part, found.paths[i]);
        add(present, name, "");
        mem_free(name);
    }
    folder_walk_release(&found);
    mem_free(below);
    return status;
}

// Everything in the parts, and the planned files beside them.
static int find_present(const char *folder, const OwnFile *planned, int64_t n_planned, OwnFiles *present,
                        Error *error)
{
    for (int part = 0; part < 2; part++)
        if (find_in_part(folder, PARTS[part], present, error) < 0)
            return -1;
    for (int64_t i = 0; i < n_planned; i++)
        if (!strchr(planned[i].name, '/') && is_in(folder, planned[i].name))
            add(present, planned[i].name, "");
    return 0;
}

// Files that the record names keep their digests; any other is somebody else's.
static int check_ours(const char *folder, const OwnFiles *record, OwnFiles *present, Error *error)
{
    for (int64_t i = 0; i < present->n; i++) {
        OwnFile *file = &present->items[i];
        const OwnFile *known = find(record, file->name);
        char *path = path_join(folder, file->name), digest[17] = "";
        int status = 0;
        if (known && strcmp(known->digest, UNFINISHED) != 0)
            status = file_digest(path, digest, error);
        if (status == 0 && (!known || (digest[0] && strcmp(known->digest, digest) != 0)))
            status = error_set(error, "%s was not made by demo-corpus%s, which removes only what it made; %s",
                               path, known ? " as it is now" : "", "move it away, or give another --out");
        mem_free(path);
        if (status < 0)
            return -1;
        memcpy(file->digest, known->digest, sizeof file->digest);
    }
    return 0;
}

static int remove_file(const char *folder, const char *name, Error *error)
{
    char *path = path_join(folder, name);
    int status = unlink(path) == 0 ? 0 : error_set_errno(error, "%s: cannot be removed", path);
    mem_free(path);
    return status;
}

static int remove_all(const char *folder, const OwnFiles *present, Error *error)
{
    int status = is_in(folder, "corpus.tsv") ? remove_file(folder, "corpus.tsv", error) : 0;
    for (int64_t i = 0; i < present->n && status == 0; i++)
        if (strcmp(present->items[i].name, "corpus.tsv") != 0)
            status = remove_file(folder, present->items[i].name, error);
    return status;
}

int own_files_clear(const char *folder, const OwnFile *files, int64_t n, Error *error)
{
    OwnFiles record = {0}, present = {0};
    int status = load_record(folder, files, n, &record, error);
    if (status == 0)
        status = find_present(folder, files, n, &present, error);
    if (status == 0)
        status = check_ours(folder, &record, &present, error);
    if (status == 0)
        status = publish_plan(folder, files, n, &present, error);
    if (status == 0)
        status = remove_all(folder, &present, error);
    own_files_free(record.items, record.n);
    own_files_free(present.items, present.n);
    return status;
}

int own_files_record(const char *folder, OwnFile *files, int64_t n, Error *error)
{
    int status = 0;
    for (int64_t i = 0; i < n && status == 0; i++) {
        char *path = path_join(folder, files[i].name);
        if (!files[i].digest[0])
            status = file_digest(path, files[i].digest, error);
        mem_free(path);
    }
    return status == 0 ? publish_record(folder, files, n, error) : -1;
}
