// Text lists of the trade: UTF-8, one record a line, ids compared as bytes. Errors name file and line.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

// utt -> label, sorted by utt. Read from `utt spk`, `label path` or `File,Speaker` CSV (detected from the
// first line; the choice is returned in *form for the log). A duplicate id is an error.
typedef struct LabelList {
    char **utts;     // [n]
    int64_t *labels; // [n], 0 .. n_labels-1, numbered by first appearance in the sorted list
    char **names;    // [n_labels]
    int64_t n, n_labels;
} LabelList;

// known_utts (sorted, may be NULL): decides which column of the list is the utterance.
int labels_load(const char *path, char *const *known_utts, int64_t n_known, LabelList *list,
                const char **form, Error *error);
// text as in a file; `name` for errors.
int labels_parse(const char *name, const char *text, LabelList *list, Error *error);
int64_t labels_find(const LabelList *list, const char *utt); // index, or -1
// labels_of[i] = label of utts[i]; missing ids are an error that gives their count and the first five.
int labels_align(const LabelList *list, const char *list_name, char *const *utts, int64_t n,
                 int64_t *labels_of, Error *error);
void labels_release(LabelList *list);

// Kaldi wav.scp: `utt path`, sorted by utt. A trailing `|` (a shell command) is refused.
typedef struct WavScp {
    char **utts, **paths;
    int64_t n;
} WavScp;
int wav_scp_load(const char *path, WavScp *scp, Error *error);
void wav_scp_release(WavScp *scp);

int lines_load(const char *path, char ***lines, int64_t *n, Error *error); // non-empty lines, in file order
int64_t strings_find(char *const *sorted, int64_t n, const char *text);    // binary search (bytes); -1
