// What counts as one recording session: which utterances surely have one speaker, where nobody has said who
// speaks.
//
//     file      an utterance is a session of its own; its two halves (cache/pieces.h) make its pairs
//     folder    the files of one folder are one session; a file that lies in no folder is one of its own
//     PATTERN   a POSIX extended regular expression, found in the id (cache/names.h); what its first group
//     matches
//               names the session, `^([^/]+)/` the first folder; an id without a match is a session of its
//               own
//
// Why `file` is the default. Pairs of one session are taken for one speaker, pairs of two sessions for two.
// The first has to be certain, or a measure counts right answers as errors: that two halves of a file are one
// speaker is what the whole loop rests on anyway, while a folder may be a day's takes of everybody. The
// second should be likely: files of one folder are often one speaker's, so under `file` a pair of different
// speakers never comes from one folder, unless there is only one.
#pragma once
#include <stdint.h>

#include "base/error.h"

typedef struct SessionRule SessionRule;

// "file", "folder" or a pattern. NULL: a pattern that is none, or that has no group.
SessionRule *session_rule_create(const char *text, Error *error);
void session_rule_destroy(SessionRule *rule); // NULL is fine
const char *session_rule_text(const SessionRule *rule);

typedef struct Sessions {
    int64_t *of;    // [n] number of the utterance's session
    int64_t *apart; // [n] number of what two sessions must not share to count as two speakers
    int64_t n, n_sessions;
    int64_t n_unmatched; // ids in which the pattern was not found
} Sessions;

// Sessions of ids [n]; halves belong to their utterance. A pattern that is found in none is an error.
int sessions_find(const SessionRule *rule, char *const *utts, int64_t n, Sessions *sessions, Error *error);
void sessions_release(Sessions *sessions);
