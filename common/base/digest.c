#include "base/digest.h"

#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"

struct Digest {
    XXH64_state_t state;
};

Digest *digest_create(void)
{
    Digest *digest = mem_alloc(1, sizeof *digest);
    XXH64_reset(&digest->state, 0);
    return digest;
}

void digest_add(Digest *digest, const void *data, size_t n_bytes)
{
    if (n_bytes > 0)
        XXH64_update(&digest->state, data, n_bytes);
}

void digest_finish(Digest *digest, char hex[17])
{
    snprintf(hex, 17, "%016llx", (unsigned long long)XXH64_digest(&digest->state));
    mem_free(digest);
}
