// XXH64 of a stream of bytes, as 16 hexadecimal digits: guards against damage, not against forgery.
//
//     Digest *digest = digest_create();
//     digest_add(digest, data, n_bytes);   // any number of times
//     digest_finish(digest, hex);          // frees
#pragma once
#include <stddef.h>

typedef struct Digest Digest;

Digest *digest_create(void);
void digest_add(Digest *digest, const void *data, size_t n_bytes);
void digest_finish(Digest *digest, char hex[17]);
