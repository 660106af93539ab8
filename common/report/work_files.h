// The files of a WORK that a page is made from (report/work.h): by their names in WORK, sorted, and their
// paths.
#pragma once
#include <stdint.h>
#include "base/error.h"

// Records, measures, logs, scores, labels and embeddings of every folder in WORK, and of no folder below
// those. The caller frees both lists with strings_free().
int work_files(const char *folder, char ***names, char ***paths, int64_t *n, Error *error);
