// One run per WORK folder: an advisory lock (flock) on <folder>/.lock, released when the process ends.
#pragma once
#include "base/error.h"

int lock_folder(const char *folder, Error *error); // descriptor; -1 with a sentence naming the other process
void lock_release(int descriptor);
