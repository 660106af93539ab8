// --if-changed: is there anything to do? Every stage asks right after it has checked its options and before
// it reads an input:
//
//     program_begin(&program, options, argc, argv);
//     if (up_to_date(&program, s.out))
//         return 0;
//
// True, silently, when --if-changed was given and the record beside the artefact (cache/provenance.h)
// - was left by this program, of this version (MAJOR.MINOR; the last number does not count),
// - for the same recipe: the same settings, by value, wherever they were said or left out (defaults, presets,
// --set), the
//   same seed, the same outputs asked for, and inputs of the same content,
// - and all outputs that it names are there with the content that it names.
// So a run that was killed, whose record is that of the run before or none, is not up to date, nor is one
// whose output was removed, replaced or damaged. Threads, --quiet and options of logging or loading do not
// count; nor do paths: the whole folder may be moved, or be named in another way.
//
// Contents are compared by equality, never by age: a stamp (size, times, inode) that is as recorded stands
// for its digest; with any other one the bytes are digested (cache/content.h), and when they are the same the
// record's stamps are brought up to date, so that the next answer takes milliseconds again. That nothing is
// read needs files that were at least two seconds old when they were recorded. A record that cannot be read
// or does not fit is no error: the stage runs. So is an input that is not there: the stage says so in its own
// words.
//
// With --check the program ends here: the options can be obeyed. Exit status 0, or with --if-changed 3 where
// there is something to do. Nothing is written; without --if-changed no file is looked at either.
#pragma once
#include "base/options.h"

// artefact: what provenance_publish() is going to be called with; NULL: this run writes none (a plan, a line
// that is printed), and is never up to date. Where it goes on, the process is settled (program_announce()).
bool up_to_date(const Program *program, const char *artefact);

// Where --check ends without --if-changed. up_to_date() calls it; a stage that looks at files before does so,
// too.
void options_checked(const Program *program);
