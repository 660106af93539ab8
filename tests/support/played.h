// A program that is played: a table of options of every role, values that a test sets, and a scratch folder
// where it "runs", that is, writes its outputs and its record.
#pragma once
#include <stdint.h>

#include "base/options.h"

typedef struct Played {
    Program program;
    Option options[10], common[2];
    const char *labels, *init, *noise; // inputs: a file, a file that may be left out, a folder that may
    const char *out, *report;          // outputs
    const char *encoder;
    double rate;
    int64_t epochs, log_every;
} Played;

// A new run, with the defaults: `labels` and `out` in the folder, --if-changed given. Lives until the program
// ends.
Played *played_create(const char *folder);
// Writes the outputs, as a stage would (content: of out), and the record.
void played_run(Played *played, const char *content);
