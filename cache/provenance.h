// <artefact>.json beside each artefact: how it came to be. Command line, options in force, seed, inputs with
// their XXH64 digests, version, threads and BLAS, wall and CPU seconds, peak memory.
#pragma once
#include "base/error.h"
#include "base/options.h"

// inputs ends in NULL; each is a file, or a folder: a prepared one counts by its utts.tsv, another by its
// name alone (digest null). Call it when the artefact itself is published.
int provenance_publish(const Program *program, const char *artefact, const char *const *inputs, Error *error);
