// Publishing a file: write to a temporary beside it, fsync, rename, fsync the folder. A path that exists is
// whole.
//
//     PublishFile *out = publish_open("work/clusters.json", &error);   // opens work/.clusters.json.tmp-<pid>
//     fputs(text, publish_stream(out));
//     status = publish_commit(out, &error);                            // or publish_abandon(out)
//
// Temporaries of dead processes are removed by the next publish_open() of the same path.
#pragma once
#include <stdio.h>
#include "base/error.h"

typedef struct PublishFile PublishFile;

PublishFile *publish_open(const char *path, Error *error); // NULL on failure
FILE *publish_stream(PublishFile *file);                   // may be sought in, cannot be read
int publish_commit(PublishFile *file, Error *error);       // frees; on failure the temporary is removed
void publish_abandon(PublishFile *file);                   // frees and removes; NULL is fine
int publish_text(const char *path, const char *text, Error *error);
int publish_bytes(const char *path, const void *data, size_t n_bytes, Error *error);
