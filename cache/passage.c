#include "cache/passage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/files.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"

enum { BLOCK_BYTES = 1 << 16, POLL_MS = 200 };

static double patience_seconds = 60;

void passage_set_patience(double seconds)
{
    patience_seconds = seconds;
}

static int failed(const char *path, Error *error)
{
    return error_set_errno(error, "cannot write %s", path);
}

// Without O_NONBLOCK opening a pipe would wait for its reader whatever signal comes.
static int open_end(const char *path, Error *error)
{
    double until = clock_seconds() + patience_seconds;
    bool said = false;
    for (;;) {
        int descriptor = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (descriptor >= 0)
            return descriptor;
        if (errno != ENXIO)
            return failed(path, error);
        if (interrupt_requested())
            return interrupt_fail(error);
        if (clock_seconds() >= until)
            return error_set(error, "cannot write %s: nobody reads this pipe; start its reader first", path);
        if (!said)
            log_info("waiting %.0f s for somebody to read the pipe %s", patience_seconds, path);
        said = true;
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
}

// A reader that went away is an error with a sentence, not the signal that ends a process without a word.
static ssize_t write_without_signal(int descriptor, const char *data, size_t n_bytes)
{
    sigset_t broken_pipe, pending, before;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    ssize_t wrote = write(descriptor, data, n_bytes);
    int reason = errno;
    if (wrote < 0 && reason == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&broken_pipe, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = reason;
    return wrote;
}

static int write_block(int to, const char *path, const char *data, size_t n_bytes, Error *error)
{
    while (n_bytes > 0) {
        ssize_t wrote = write_without_signal(to, data, n_bytes);
        if (interrupt_requested())
            return interrupt_fail(error);
        if (wrote < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = to, .events = POLLOUT}, 1, POLL_MS);
        } else if (wrote < 0 && errno != EINTR) {
            return failed(path, error);
        } else if (wrote > 0) {
            data += wrote;
            n_bytes -= (size_t)wrote;
        }
    }
    return 0;
}

static int copy(int from, int to, const char *path, char *block, Error *error)
{
    for (off_t at = 0;;) {
        ssize_t got = pread(from, block, BLOCK_BYTES, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(path, error);
        if (got == 0)
            return 0;
        if (write_block(to, path, block, (size_t)got, error) < 0)
            return -1;
        at += got;
    }
}

int passage_copy(int from, const char *path, Error *error)
{
    int to = open_end(path, error);
    if (to < 0)
        return -1;
    char *block = mem_alloc(BLOCK_BYTES, 1);
    int status = copy(from, to, path, block, error);
    if (close(to) != 0 && status == 0)
        status = failed(path, error);
    mem_free(block);
    return status;
}
