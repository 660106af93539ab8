// The file that an artefact is written to before it gets its name: ".clusters.json.tmp-" and 16 random
// digits, beside the artefact, made by this process alone (never an existing file or link) with the modes
// that the umask allows. Its writer holds a lock on it as long as it lives; a process number would not do,
// because another container or a later process may have the same.
//
//     Temporary *t = temporary_create("work", "clusters.json", &error);
//     write(temporary_descriptor(t), ...);
//     status = temporary_rename(t, &reason);        // to its name, on disk before it returns; frees
//     temporary_remove(t);                          // or not at all; frees
//
// Temporaries of dead processes are removed by the next temporary_create() for the same artefact: files of
// that form which belong to this user and which nobody has locked.
#pragma once
#include "base/error.h"

typedef struct Temporary Temporary;

// NULL with errno set.
Temporary *temporary_create(const char *folder, const char *name);
int temporary_descriptor(const Temporary *temporary);
int temporary_rename(Temporary *temporary);  // 0, or -1 with errno set: then it has been removed
int temporary_sync(Temporary *temporary);    // its bytes are on disk; -1 with errno set
int temporary_clear(Temporary *temporary);   // removes the file that has its name now; -1 with errno set
void temporary_remove(Temporary *temporary); // NULL is fine
// A file without a name for what is written through a pipe or device; a descriptor, -1 with errno set.
int temporary_nameless(void);
