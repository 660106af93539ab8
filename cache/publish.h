// Publishing a file: write to a temporary beside it, fsync, rename, fsync the folder. A path that exists is
// whole.
//
//     PublishFile *out = publish_open("work/clusters.json", &error);   // work/.clusters.json.tmp-5e0c...
//     fputs(text, publish_stream(out));
//     status = publish_commit(out, &error);                            // or publish_abandon(out)
//
// Nothing but files is replaced: the path may be a link (what it points to is replaced), a pipe, a terminal
// or a device such as /dev/null (the bytes are written through it at publish_commit(), all or none of them).
// Folders that are missing on the way are made. See cache/publish_target.h and cache/temporary.h.
#pragma once
#include <stdbool.h>
#include <stdio.h>
#include "base/error.h"

typedef struct PublishFile PublishFile;

PublishFile *publish_open(const char *path, Error *error); // NULL on failure
FILE *publish_stream(PublishFile *file);                   // may be sought in, cannot be read
int publish_commit(PublishFile *file, Error *error);       // frees; on failure the temporary is removed
void publish_abandon(PublishFile *file);                   // frees and removes; NULL is fine
// Two files that are of use only together, a matrix and the list of its rows: whenever the process may be
// killed, no reader finds the new one of the one with the old one of the other. `main` is the one whose being
// there says that both are.
int publish_commit_pair(PublishFile *companion, PublishFile *main, Error *error); // frees both
int publish_text(const char *path, const char *text, Error *error);
int publish_bytes(const char *path, const void *data, size_t n_bytes, Error *error);

// Whether the path is a pipe, terminal or device: then nothing can lie beside it.
bool publish_is_through(const char *path);

// Before hours of work: could the path be published now? Writes a little into a temporary of it (where its
// folder is missing, of the folder that is there) and removes it again, so that a folder that may not be
// written to, a full disk or an exhausted quota is said at once.
int publish_check(const char *path, Error *error);
