// <artefact>.json beside each artefact: how it came to be. Command line, config, seed, input digests,
// version, threads, wall and CPU seconds, peak memory.
#pragma once
#include "base/error.h"
#include "base/options.h"

// Inputs and outputs that end in NULL; inputs are hashed. Publishes <artefact>.json for "artefact".
int provenance_publish(const Program *program, const char *artefact, const char *const *inputs, Error *error);
