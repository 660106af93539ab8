#include "cache/content.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/digest.h"
#include "base/files.h"
#include "base/folder_walk.h"
#include "base/memory.h"
#include "cache/embeddings.h"
#include "cache/kaldi_ark.h"
#include "cache/lists.h"

// File systems keep times in steps of up to two seconds: a file that is written twice within one may look the
// same.
static const int64_t YOUNG_NS = (int64_t)2000000000;

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static bool ends_in(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length >= tail && strcmp(text + length - tail, ending) == 0;
}

// --- the files

// False: it is a pipe or a device.
static bool look(ContentFile *file)
{
    struct stat info;
    file->size = -1;
    if (!file->path || stat(file->path, &info) != 0)
        return true;
    file->size = info.st_size;
    file->modified_ns = nanoseconds(info.st_mtim);
    file->inode_ns = nanoseconds(info.st_ctim);
    file->inode = info.st_ino;
    return S_ISREG(info.st_mode);
}

// path becomes the content's own.
static ContentFile *add_file(Content *content, const char *name, char *path)
{
    ContentFile file = {.name = mem_strdup(name), .path = path};
    content->readable &= look(&file);
    content->size += file.size > 0 ? file.size : 0;
    if (1e-9 * (double)file.modified_ns > content->modified)
        content->modified = 1e-9 * (double)file.modified_ns;
    content->files = mem_grow(content->files, (size_t)content->n + 1, sizeof *content->files);
    content->files[content->n++] = file;
    return &content->files[content->n - 1];
}

static void add_if_there(Content *content, const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    if (file_exists(path))
        add_file(content, name, path);
    else
        mem_free(path);
}

// The archives of a .scp. A damaged one leads nowhere, and its reader says so.
static void add_archives(Content *content, const char *scp)
{
    char **archives = NULL;
    int64_t n = 0;
    if (ark_scp_archives(scp, &archives, &n, NULL) < 0)
        return;
    for (int64_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "archive %" PRId64, i);
        add_file(content, name, mem_strdup(archives[i]));
    }
    strings_free(archives, n);
}

static void look_at_file(Content *content, const char *path)
{
    add_file(content, "", mem_strdup(path));
    if (ends_in(path, ".scp")) {
        add_archives(content, path);
    } else if (ends_in(path, ".npy")) {
        char *list = embeddings_list_beside(path);
        if (list)
            add_file(content, "utts.txt", list);
    }
}

// A row of shards.tsv: shard, bytes, digest. A shard of another size is not the one that was written.
static int add_shard(Content *content, const char *folder, char *row, Error *error)
{
    char *rest = NULL, *name = strtok_r(row, "\t", &rest), *n_bytes = strtok_r(NULL, "\t", &rest),
         *digest = strtok_r(NULL, "\t", &rest);
    if (!digest || strlen(digest) != 16)
        return error_set(error, "%s/shards.tsv is damaged; prepare the folder again", folder);
    ContentFile *shard = add_file(content, name, path_join(folder, name));
    memcpy(shard->vouched, digest, sizeof shard->vouched);
    if (shard->size != strtoll(n_bytes, NULL, 10))
        snprintf(shard->vouched, sizeof shard->vouched, "%" PRId64 " bytes", shard->size);
    return 0;
}

static int look_at_prepared(Content *content, const char *folder, const char *shards, Error *error)
{
    char **lines = NULL;
    int64_t n = 0;
    int status = own_lines_load(shards, &lines, &n, error);
    add_if_there(content, folder, "names.tsv");
    add_if_there(content, folder, "utts.tsv");
    for (int64_t i = 1; i < n && status == 0; i++) // line 0 is the header
        status = add_shard(content, folder, lines[i], error);
    strings_free(lines, n);
    return status;
}

static int look_below(Content *content, const char *folder, const char *skip, Error *error)
{
    FolderWalk walk;
    if (folder_walk(folder, &walk, error) < 0)
        return -1;
    for (int64_t i = 0; i < walk.n; i++) {
        char *path = path_join(folder, walk.paths[i]);
        if (skip && strcmp(path, skip) == 0)
            mem_free(path);
        else
            add_file(content, walk.paths[i], path);
    }
    folder_walk_release(&walk);
    return 0;
}

static int look_at_folder(Content *content, const char *folder, const char *skip, Error *error)
{
    char *shards = path_join(folder, "shards.tsv"), *utts = path_join(folder, "utts.tsv");
    bool is_prepared = file_exists(shards) && file_exists(utts);
    int status = is_prepared ? look_at_prepared(content, folder, shards, error)
                             : look_below(content, folder, skip, error);
    mem_free(shards);
    mem_free(utts);
    return status;
}

// --- the stamp

static bool is_young(const ContentFile *file)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t newest = file->modified_ns > file->inode_ns ? file->modified_ns : file->inode_ns;
    return newest > nanoseconds(now) - YOUNG_NS; // or of a time to come
}

static void make_stamp(Content *content)
{
    Digest *digest = digest_create();
    bool is_certain = content->readable;
    for (int64_t i = 0; i < content->n; i++) {
        const ContentFile *file = &content->files[i];
        const int64_t facts[] = {file->size, file->modified_ns, file->inode_ns, (int64_t)file->inode};
        digest_add(digest, file->name, strlen(file->name) + 1);
        digest_add(digest, facts, file->vouched[0] ? sizeof facts[0] : sizeof facts);
        digest_add(digest, file->vouched, strlen(file->vouched));
        is_certain &= file->vouched[0] || !is_young(file);
    }
    digest_finish(digest, content->stamp);
    if (!is_certain)
        content->stamp[0] = '\0';
}

int content_look(const char *path, const char *skip, Content *content, Error *error)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return error_set_errno(error, "cannot look at %s", path);
    *content = (Content){.path = mem_strdup(path), .readable = true};
    int status = 0;
    if (S_ISDIR(info.st_mode))
        status = look_at_folder(content, path, skip, error);
    else
        look_at_file(content, path);
    if (status < 0) {
        content_release(content);
        return -1;
    }
    make_stamp(content);
    return 0;
}

void content_of_files(const char *path, char *const *names, char *const *paths, int64_t n, Content *content)
{
    *content = (Content){.path = mem_strdup(path), .readable = true};
    for (int64_t i = 0; i < n; i++)
        add_file(content, names[i], paths[i] ? mem_strdup(paths[i]) : NULL);
    make_stamp(content);
}

// --- the digest

// One line of what is digested: the name, and the digest of the bytes or what stands for it.
static int describe_file(const ContentFile *file, bool by_bytes, char **line, Error *error)
{
    char hex[17];
    if (file->size < 0)
        *line = mem_printf("%s\tnot there\n", file->name);
    else if (file->vouched[0])
        *line = mem_printf("%s\t%s\n", file->name, file->vouched);
    else if (!by_bytes)
        *line = mem_printf("%s\t%" PRId64 " bytes, %" PRId64 "\n", file->name, file->size, file->modified_ns);
    else if (file_digest(file->path, hex, error) < 0)
        return -1;
    else
        *line = mem_printf("%s\t%s\n", file->name, hex);
    return 0;
}

static int64_t bytes_to_read(const Content *content)
{
    int64_t n_bytes = 0;
    for (int64_t i = 0; i < content->n; i++)
        n_bytes += content->files[i].vouched[0] ? 0 : content->files[i].size;
    return n_bytes;
}

static int digest_files(Content *content, Error *error)
{
    bool leads = content->n > 0 && !content->files[0].name[0]; // a file, and what it leads to
    bool by_bytes = leads || bytes_to_read(content) <= FOLDER_READ_BYTES;
    Digest *digest = digest_create();
    char hex[17];
    int status = 0;
    for (int64_t i = 0; i < content->n && status == 0; i++) {
        char *line = NULL;
        status = describe_file(&content->files[i], by_bytes, &line, error);
        if (status == 0)
            digest_add(digest, line, strlen(line));
        mem_free(line);
    }
    digest_finish(digest, hex);
    if (status == 0)
        memcpy(content->digest, hex, sizeof hex);
    return status;
}

int content_digest(Content *content, Error *error)
{
    if (content->digest[0] || !content->readable)
        return 0;
    bool is_one = content->n == 1 && !content->files[0].name[0];
    return is_one ? file_digest(content->files[0].path, content->digest, error)
                  : digest_files(content, error);
}

bool content_has_changed(const Content *content)
{
    bool changed = false;
    for (int64_t i = 0; i < content->n && !changed; i++) {
        const ContentFile *before = &content->files[i];
        ContentFile now = {.path = before->path};
        look(&now);
        changed = now.size != before->size ||
                  (!before->vouched[0] && (now.modified_ns != before->modified_ns ||
                                           now.inode_ns != before->inode_ns || now.inode != before->inode));
    }
    return changed;
}

void content_release(Content *content)
{
    for (int64_t i = 0; i < content->n; i++) {
        mem_free(content->files[i].name);
        mem_free(content->files[i].path);
    }
    mem_free(content->files);
    mem_free(content->path);
    *content = (Content){0};
}
