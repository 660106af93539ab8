// What a program says, on stderr: one line a call, "stage: " in front, with whatever names and files bring
// along made visible (base/text.h). log_info() is silent under --quiet; warnings and errors are not.
#pragma once
#include <stdbool.h>

#include "base/error.h"
#include "base/options.h"

void log_open(const char *stage, bool quiet);
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool log_is_quiet(void);
const char *log_bytes(char text[32], double n_bytes); // "210 MiB"; returns text

// Ends of a stage, used as `return program_fail(...)` and `return program_done(...)` in main.
// program_fail: one line on stderr ("voxloop-cluster: error: ..."); exit status 1, or 130 after Ctrl-C.
// program_done: "cluster: done <text> in 12.4 s, peak 210 MiB"; exit status 0.
int program_fail(const Program *program, const Error *error);
int program_done(const Program *program, const char *format, ...) __attribute__((format(printf, 2, 3)));
