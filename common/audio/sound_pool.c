#include "audio/sound_pool.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/memory.h"

void sound_pool_add(SoundPool *pool, const char *path)
{
    if ((pool->n & (pool->n - 1)) == 0) {
        size_t room = pool->n ? 2 * (size_t)pool->n : 1;
        pool->paths = mem_grow(pool->paths, room, sizeof *pool->paths);
        pool->broken = mem_grow(pool->broken, room, sizeof *pool->broken);
    }
    atomic_init(&pool->broken[pool->n], false);
    pool->paths[pool->n++] = path;
}

void sound_pool_release(SoundPool *pool)
{
    mem_free(pool->paths);
    mem_free(pool->broken);
    *pool = (SoundPool){0};
}

void sound_pool_check(SoundPool *pool, const char *what, SoundPoolCheck check, Error *error)
{
    Error first = {0};
    int64_t n_broken = 0, first_broken = pool->n;
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t i = 0; i < pool->n; i++) {
        Error own = {0};
        if (check(pool->paths[i], &own) == 0)
            continue;
        atomic_store(&pool->broken[i], true);
#pragma omp critical(sound_pool)
        {
            n_broken++;
            if (i < first_broken) {
                first_broken = i;
                first = own;
            }
        }
    }
    if (n_broken == 0)
        return;
    if (n_broken < pool->n) {
        log_warn("%s: %" PRId64 " of %" PRId64 " files are left out; the first, %s", what, n_broken, pool->n,
                 first.text);
        return;
    }
    error_set(error, "%s: none of the %" PRId64 " files can be used; the first, %s", what, pool->n,
              first.text);
    sound_pool_release(pool);
}

int sound_pool_read(const SoundPool *pool, int64_t index, SoundPoolRead read, void *context, Error *error)
{
    for (int64_t k = 0; k < pool->n; k++) {
        int64_t i = (index + k) % pool->n;
        if (atomic_load(&pool->broken[i]))
            continue;
        Error own = {0};
        if (read(pool->paths[i], context, &own) == 0)
            return 0;
        if (!atomic_exchange(&pool->broken[i], true))
            log_warn("%s; from now on the file is left out", own.text);
    }
    return error_set(error, "%s: neither this file nor any other of its kind can be read any more",
                     pool->paths[index % pool->n]);
}
