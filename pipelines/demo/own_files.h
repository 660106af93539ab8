// Which files of a folder are ours: those that our record beside them names, as long as they are what we
// wrote.
//
//     own_files_clear(folder, files, n, &error);     // removes what an earlier run made; writes the record
//     ... write files[0 .. n) ...
//     own_files_record(folder, files, n, &error);    // the record with the digests
//
// The record, FOLDER/.made.tsv, has a line `name<TAB>digest` for each file, with the digest "-" while the
// file is being made, so that what an interrupted run left is known, too. A corpus of before there were
// records is known by its corpus.tsv.
#pragma once
#include <stdint.h>
#include "base/error.h"

typedef struct OwnFile {
    char *name;      // below the folder
    char digest[17]; // empty: not known yet
} OwnFile;

// Makes room for files[n]: removes the files of the record (corpus.tsv first, for a corpus that has one is
// whole). Refuses, before anything is removed, where train/ or test/ hold a file that is not in the record or
// has changed since, and where one of files[n] is there and not ours.
int own_files_clear(const char *folder, const OwnFile *files, int64_t n, Error *error);
// Publishes the record; fills in the digests that are still empty.
int own_files_record(const char *folder, OwnFile *files, int64_t n, Error *error);
void own_files_free(OwnFile *files, int64_t n); // NULL is fine
