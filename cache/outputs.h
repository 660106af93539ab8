// What a run will write, looked at before hours of work: called once, before anything is read. Misuse of
// other kinds comes first, and what only plans writes nothing, so the call stands behind both:
//
//     program_begin(&program, options, argc, argv);
//     ... program_misuse() ...
//     outputs_check(&program, NULL);
//
// By the roles of the option table, no output may be the file of another output, of an input or of an
// operand, whatever the two are called (other spelling, link, hard link), nor what is kept beside an output
// (<output>.json, <output>.resume), nor a known part of an input folder (utts.tsv, audio-00000.tar.zst,
// model.safetensors
// ...); two outputs may go to one terminal or device. Each must be possible: a folder that may not be written
// to, a full disk or a name that is taken by a folder ends the program here.
#pragma once
#include "base/options.h"

// Options whose argument is "DIR" or "FOLDER" name folders, and `folder_option` (NULL: none) too, all others
// files. Prints one line and exits, 2 where options contradict each other and 1 where an output cannot be
// written.
void outputs_check(const Program *program, const char *folder_option);
