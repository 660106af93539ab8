// Every file below a folder.
//
// Links are followed, but no folder is walked twice: first the folders themselves are, then what links lead
// to outside of them, in the order of the links' names. So loops of links end, and a link back into the tree,
// or to a folder that holds it, does not give every recording a second name. What cannot be walked (no
// permission, a path longer than the system takes) and files that are none (pipes, sockets, devices) are left
// out and listed with the reason, for the caller to say; only the root itself must be readable. Names that
// begin with a dot are left out silently. A dangling link is listed among the files, so that whoever opens it
// can say so.
#pragma once
#include <stdint.h>

#include "base/error.h"

typedef struct FolderWalk {
    char **paths; // [n] relative to the folder, in the C locale's order
    int64_t n;
    char **skipped, **reasons; // [n_skipped] the same order; the paths may be folders
    int64_t n_skipped;
} FolderWalk;

int folder_walk(const char *folder, FolderWalk *walk, Error *error);
// One warning for each of the first few paths that were left out, and their number.
void folder_walk_warn(const char *folder, const FolderWalk *walk);
void folder_walk_release(FolderWalk *walk);
