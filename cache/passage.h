// Finished bytes through a pipe, a terminal or a device.
#pragma once
#include "base/error.h"

// Everything in the file `from`, from its first byte on, to what `path` names. A pipe that nobody reads is
// waited for, which the log says, and then it is an error; so is a reader that goes away, and an interrupt.
int passage_copy(int from, const char *path, Error *error);

// For tests: how long a pipe is waited for that nobody reads; 60 s unless set.
void passage_set_patience(double seconds);
