#include "audio/byte_view.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum { SEARCH_BLOCK = 1 << 18 };

int byte_file_open(const char *path, ByteFile *file, Error *error)
{
    struct stat status;
    // A FIFO without a writer must not make us wait.
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        error_set_errno(error, "unreadable");
    } else if (!S_ISREG(status.st_mode)) {
        error_set(error, "unreadable: no regular file");
    } else {
        *file = (ByteFile){.descriptor = descriptor, .n = status.st_size};
        return 0;
    }
    if (descriptor >= 0)
        close(descriptor);
    return -1;
}

void byte_file_close(ByteFile *file)
{
    close(file->descriptor);
}

static int64_t read_file(ByteFile *file, int64_t offset, unsigned char *bytes, int64_t n)
{
    int64_t done = 0;
    while (done < n) {
        ssize_t got = pread(file->descriptor, bytes + done, (size_t)(n - done), offset + done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            file->failed = errno;
        if (got <= 0)
            break;
        done += got;
    }
    return done;
}

// Lays the patches over bytes [offset, offset + n).
static void apply_patches(const ByteView *view, int64_t offset, unsigned char *bytes, int64_t n)
{
    for (int p = 0; p < view->n_patches; p++)
        for (int i = 0; i < view->patches[p].n; i++) {
            int64_t at = view->patches[p].offset + i - offset;
            if (at >= 0 && at < n)
                bytes[at] = view->patches[p].bytes[i];
        }
}

int64_t byte_view_read(const ByteView *view, int64_t offset, void *bytes, int64_t n)
{
    if (offset < 0 || offset >= view->n || n <= 0)
        return 0;
    if (n > view->n - offset)
        n = view->n - offset;
    if (view->memory)
        memcpy(bytes, view->memory + view->start + offset, (size_t)n);
    else
        n = read_file(view->file, view->start + offset, bytes, n);
    apply_patches(view, offset, bytes, n);
    return n;
}

ByteView byte_view_part(const ByteView *view, int64_t offset, int64_t n)
{
    return (ByteView){.file = view->file, .memory = view->memory, .start = view->start + offset, .n = n};
}

void byte_view_patch(ByteView *view, int64_t offset, const void *bytes, int n)
{
    BytePatch *patch = &view->patches[view->n_patches++];
    patch->offset = offset;
    patch->n = n;
    memcpy(patch->bytes, bytes, (size_t)n);
}

int64_t byte_view_find(const ByteView *view, int64_t offset, const void *pattern, int n)
{
    unsigned char *block = mem_alloc(SEARCH_BLOCK, 1), *hit = NULL;
    int64_t at = -1, got;
    while (at < 0 && (got = byte_view_read(view, offset, block, SEARCH_BLOCK)) >= n) {
        if ((hit = memmem(block, (size_t)got, pattern, (size_t)n)))
            at = offset + (hit - block);
        offset += got - (n - 1); // a pattern across the border
    }
    mem_free(block);
    return at;
}
