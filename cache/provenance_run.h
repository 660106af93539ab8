// What provenance knows of a run while it runs. Part of provenance and up_to_date; not for others.
#pragma once
#include <cjson/cJSON.h>

#include "cache/provenance.h"

typedef struct ProvenanceInput {
    const Option *option;
    const char *path;
    Content content; // zeroed: nothing was there
} ProvenanceInput;

typedef struct Provenance {
    const Program *program;
    ProvenanceInput *inputs; // [n_inputs], those that are given
    int64_t n_inputs;
    char **also_wrote; // [n_also_wrote] paths
    int64_t n_also_wrote;
    struct Provenance *next;
} Provenance;

Provenance *provenance_of(const Program *program); // looks at the inputs when it is first asked for
const char *provenance_path(const Option *option, OptionRole role); // NULL: of another role, or not given
int provenance_digest(ProvenanceInput *input, Error *error);

char *provenance_record_path(const char *artefact); // the caller frees
int provenance_publish_record(const char *path, const cJSON *json, Error *error);
