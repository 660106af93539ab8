#include "cache/random_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum { MOST_OPEN = 256, LEAST_OPEN = 2 };

struct RandomFile {
    OpenFiles *pool;
    char *path;
    struct stat identity;
    int descriptor;            // -1: not open at present
    int n_readers;             // at this moment
    RandomFile *newer, *older; // among the open ones, by their last use
};

struct OpenFiles {
    pthread_mutex_t lock;
    int64_t most_open, n_open;
    RandomFile *newest, *oldest;
};

static int64_t room_for_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return LEAST_OPEN;
    rlim_t quarter = limit.rlim_cur / 4;
    return quarter > MOST_OPEN ? MOST_OPEN : quarter < LEAST_OPEN ? LEAST_OPEN : (int64_t)quarter;
}

OpenFiles *open_files_create(int64_t most_open)
{
    OpenFiles *pool = mem_zero(1, sizeof *pool);
    pool->most_open = most_open > 0 ? most_open : room_for_files();
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

void open_files_destroy(OpenFiles *pool)
{
    if (!pool)
        return;
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool);
}

// ---- the order of use; the pool is locked ----------------------------------------------------------------

static void unlist(OpenFiles *pool, RandomFile *file)
{
    *(file->newer ? &file->newer->older : &pool->newest) = file->older;
    *(file->older ? &file->older->newer : &pool->oldest) = file->newer;
    file->newer = file->older = NULL;
    pool->n_open--;
}

static void list_as_newest(OpenFiles *pool, RandomFile *file)
{
    file->older = pool->newest;
    *(pool->newest ? &pool->newest->newer : &pool->oldest) = file;
    pool->newest = file;
    pool->n_open++;
}

static void make_room(OpenFiles *pool)
{
    for (RandomFile *file = pool->oldest, *newer; file && pool->n_open >= pool->most_open; file = newer) {
        newer = file->newer;
        if (file->n_readers > 0)
            continue;
        unlist(pool, file);
        close(file->descriptor);
        file->descriptor = -1;
    }
}

// ---- files -----------------------------------------------------------------------------------------------

static int open_file(RandomFile *file, struct stat *info, Error *error)
{
    file->descriptor = open(file->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); // a pipe is not waited for
    if (file->descriptor < 0)
        return error_set_errno(error, "%s: cannot open", file->path);
    if (fstat(file->descriptor, info) == 0 && S_ISREG(info->st_mode))
        return 0;
    close(file->descriptor);
    file->descriptor = -1;
    return error_set(error, "%s is not a file", file->path);
}

static int open_again(RandomFile *file, Error *error)
{
    struct stat now;
    const struct stat *then = &file->identity;
    if (open_file(file, &now, error) < 0)
        return -1;
    if (now.st_dev == then->st_dev && now.st_ino == then->st_ino && now.st_size == then->st_size &&
        now.st_mtim.tv_sec == then->st_mtim.tv_sec && now.st_mtim.tv_nsec == then->st_mtim.tv_nsec)
        return 0;
    close(file->descriptor);
    file->descriptor = -1;
    return error_set(error, "%s was changed or replaced while it was read; run the same command again",
                     file->path);
}

// Open, and kept so until let_go().
static int hold(RandomFile *file, Error *error)
{
    OpenFiles *pool = file->pool;
    if (!pool)
        return 0;
    pthread_mutex_lock(&pool->lock);
    int status = 0;
    if (file->descriptor >= 0) {
        unlist(pool, file);
    } else {
        make_room(pool);
        status = open_again(file, error);
    }
    if (status == 0) {
        list_as_newest(pool, file);
        file->n_readers++;
    }
    pthread_mutex_unlock(&pool->lock);
    return status;
}

static void let_go(RandomFile *file)
{
    if (!file->pool)
        return;
    pthread_mutex_lock(&file->pool->lock);
    file->n_readers--;
    pthread_mutex_unlock(&file->pool->lock);
}

RandomFile *random_file_open(OpenFiles *pool, const char *path, Error *error)
{
    RandomFile *file = mem_zero(1, sizeof *file);
    file->path = mem_strdup(path);
    file->pool = pool;
    if (pool) {
        pthread_mutex_lock(&pool->lock);
        make_room(pool);
    }
    int status = open_file(file, &file->identity, error);
    if (pool) {
        if (status == 0)
            list_as_newest(pool, file);
        pthread_mutex_unlock(&pool->lock);
    }
    if (status == 0)
        return file;
    mem_free(file->path);
    mem_free(file);
    return NULL;
}

void random_file_close(RandomFile *file)
{
    if (!file)
        return;
    if (file->pool)
        pthread_mutex_lock(&file->pool->lock);
    if (file->descriptor >= 0) {
        if (file->pool)
            unlist(file->pool, file);
        close(file->descriptor);
    }
    if (file->pool)
        pthread_mutex_unlock(&file->pool->lock);
    mem_free(file->path);
    mem_free(file);
}

int64_t random_file_bytes(const RandomFile *file)
{
    return file->identity.st_size;
}

static int read_whole(const RandomFile *file, int64_t offset, char *data, size_t n_bytes, Error *error)
{
    for (size_t done = 0; done < n_bytes;) {
        ssize_t got = pread(file->descriptor, data + done, n_bytes - done, offset + (int64_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, "%s: cannot read", file->path);
        if (got == 0)
            return error_set(error, "%s ends too early; is it cut off?", file->path);
        done += (size_t)got;
    }
    return 0;
}

int random_file_read(RandomFile *file, int64_t offset, void *data, size_t n_bytes, Error *error)
{
    if (hold(file, error) < 0)
        return -1;
    int status = read_whole(file, offset, data, n_bytes, error);
    let_go(file);
    return status;
}
