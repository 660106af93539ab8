// Ctrl-C and SIGTERM: the first asks, the second kills. Long loops look at interrupt_requested() once per
// step, save what resuming needs and return through the error path; program_fail() then exits with 130 (143
// for SIGTERM).
#pragma once
#include <stdbool.h>
#include "base/error.h"

void interrupt_install(void);
bool interrupt_requested(void);
int interrupt_status(void);       // 0, 130 or 143
int interrupt_fail(Error *error); // sets "interrupted; run the same command again to continue"; returns -1
