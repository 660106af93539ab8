// What --help prints, from the same table that the parser reads. Part of options.c; not for others.
#pragma once
#include "base/options.h"

void options_print_help(const Program *program);

// "[0, 1]" as words: "0 to 1", "at least 0"; empty for an unbounded option. Returns text.
const char *options_range(const Option *option, char text[64]);
