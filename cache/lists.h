// Text lists of the trade: UTF-8, one record a line, ids compared as bytes. Errors name file and line.
//
// What users bring is read by the rules for strangers' files: byte-order marks and the line ends of other
// systems are met, blanks at the ends of a line do not count, forms are told apart (cache/foreign_labels.h).
// What the programs write is read back by own_lines_*() and labels_parse(), which take every byte as it was
// written.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

// utt -> label, sorted by utt.
typedef struct LabelList {
    char **utts;     // [n]
    int64_t *labels; // [n], 0 .. n_labels-1, numbered by first appearance in the sorted list
    char **names;    // [n_labels]
    int64_t n, n_labels;
} LabelList;

// A list that a user brings, in any form of cache/foreign_labels.h; which one is returned in *form for the
// log. known_utts (sorted, may be NULL) are the ids that it can be about: they decide which column is the
// utterance and what a name means. Utterances that are not among them keep their names, as ids.
int labels_load(const char *path, char *const *known_utts, int64_t n_known, LabelList *list,
                const char **form, Error *error);
// Our own: lines of an id, one blank and a label without blanks; `name` for errors.
int labels_parse(const char *name, const char *text, LabelList *list, Error *error);
int64_t labels_find(const LabelList *list, const char *utt); // index, or -1
// labels_of[i] = label of utts[i]; missing ids are an error that gives their count and the first five.
int labels_align(const LabelList *list, const char *list_name, char *const *utts, int64_t n,
                 int64_t *labels_of, Error *error);
// The same where a list need not speak of all: -1 for those that it lacks. Returns how many it has.
int64_t labels_cover(const LabelList *list, char *const *utts, int64_t n, int64_t *labels_of);
void labels_release(LabelList *list);

// A path that stands in a list: as it is where that names a file, absolute or from the working directory;
// else from the list's folder, where that does; else as it is. A new string.
char *listed_path(const char *list, const char *path);

// Kaldi wav.scp: `utt path`, sorted by utt; a tab between them lets the utt hold blanks. A trailing `|` (a
// shell command) is refused.
typedef struct WavScp {
    char **utts, **paths; // [n] as they stand there
    int64_t n;
} WavScp;
int wav_scp_load(const char *path, WavScp *scp, Error *error);
void wav_scp_release(WavScp *scp);

// A list that a user brings: its non-empty lines in file order, without the blanks at their ends.
int lines_load(const char *path, char ***lines, int64_t *n, Error *error);
// Our own: every line as it is. A last line without its end, or a NUL byte, is damage.
int own_lines_load(const char *path, char ***lines, int64_t *n, Error *error);
// The same of a text [n_bytes, with a NUL behind], which is changed; `name` for errors.
int own_lines_split(const char *name, char *text, size_t n_bytes, char ***lines, int64_t *n, Error *error);
int64_t strings_find(char *const *sorted, int64_t n, const char *text); // binary search (bytes); -1
