#include "base/progress.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"

enum { BAR_WIDTH = 30 };
static const double REDRAW_SECONDS = 0.25;

struct Progress {
    const char *unit;
    int64_t total, done;
    double started, drawn; // seconds
    bool visible;
    pthread_mutex_t lock;
};

Progress *progress_create(const char *unit, int64_t total)
{
    Progress *progress = mem_zero(1, sizeof *progress);
    progress->unit = unit;
    progress->total = total;
    progress->started = progress->drawn = clock_seconds();
    const char *terminal = getenv("TERM");
    progress->visible =
        !log_is_quiet() && isatty(STDERR_FILENO) && !(terminal && strcmp(terminal, "dumb") == 0);
    pthread_mutex_init(&progress->lock, NULL);
    return progress;
}

static void draw(const Progress *progress, double now)
{
    char bar[BAR_WIDTH + 1];
    double share = progress->total > 0 ? (double)progress->done / (double)progress->total : 0;
    int filled = (int)(share * BAR_WIDTH);
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    double rate = (double)progress->done / (now - progress->started + 1e-9);
    int64_t eta = rate > 0 ? (int64_t)((double)(progress->total - progress->done) / rate) : 0;
    fprintf(stderr, "\r[%s] %" PRId64 "/%" PRId64 " %s, %.1f/s, ETA %" PRId64 ":%02d\033[K", bar,
            progress->done, progress->total, progress->unit, rate, eta / 60, (int)(eta % 60));
}

void progress_step(Progress *progress, int64_t n)
{
    pthread_mutex_lock(&progress->lock);
    progress->done += n;
    double now = clock_seconds();
    if (progress->visible && now - progress->drawn >= REDRAW_SECONDS) {
        progress->drawn = now;
        draw(progress, now);
    }
    pthread_mutex_unlock(&progress->lock);
}

void progress_destroy(Progress *progress)
{
    if (!progress)
        return;
    if (progress->visible)
        fprintf(stderr, "\r\033[K");
    pthread_mutex_destroy(&progress->lock);
    mem_free(progress);
}
