// One run per WORK folder: an advisory lock (flock) on <folder>/.lock, released when the process ends. The
// lock holds for the file that stands there now: one that was removed or replaced while it was waited for is
// opened again.
#pragma once
#include "base/error.h"

int lock_folder(const char *folder, Error *error); // descriptor; -1 with a sentence naming the other process
void lock_release(int descriptor);
// Removes <folder>/.lock, where it still is the file that is locked, and releases it; 0 when it is gone.
int lock_remove(const char *folder, int descriptor);
