// What the path of an output names, once links are followed:
//
//     a file, there or not        it is written whole under another name and renamed (cache/temporary.h);
//     where
//                                 the path is a link, the link stays and what it points to is replaced
//     a terminal, device or pipe  nothing is replaced: the finished bytes are written through it; so are
//                                 /dev/stdout and the like, whatever they are connected to
//     a folder, socket or disk    refused
//
// A folder that is missing on the way is no error here: publish_open() makes it.
#pragma once
#include <stdbool.h>
#include "base/error.h"

typedef struct PublishTarget {
    char *folder, *name; // of the file, behind all links; NULL: written through
    bool is_pipe;        // written through, and somebody has to read at the other end
} PublishTarget;

int publish_target_find(const char *path, PublishTarget *target, Error *error);
void publish_target_release(PublishTarget *target);
// The nearest folder on the way to `folder` that is there; a new string.
char *publish_folder_there(const char *folder);
