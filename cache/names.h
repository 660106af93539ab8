// What an utterance is called: its name, as a folder or a list has it, and its id, as every list, page and
// shard of ours has it.
//
// The rule. An id is the name with those bytes written as % and two upper-case hexadecimal digits that lists
// could not hold or a reader could mistake: control characters and blanks (Unicode's too, the no-break space
// and the byte-order mark among them), `%`, `"`, bytes that are not UTF-8, a leading `/`, path parts `.` and
// `..`, and the `#` of a name that ends in #1 or #2, which are the halves of an utterance (cache/pieces.h).
// `./` in front is dropped. All other bytes stay, so most names are their own ids, and no two names share
// one. Letters that can be composed or not stay as they are written.
//
// What a list calls an utterance is looked for as an id first, then as a name under the same rule, then as
// either in Unicode's composed form (NFC), since other systems spell é in two bytes or in three. One text
// that could be two utterances is neither.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

const char *name_without_here(const char *name); // behind `./`, inside the argument
char *name_to_id(const char *name);              // a new string
bool name_is_id(const char *text);  // of an utterance or a half of one: holds nothing that an id cannot hold
char *name_as_id(const char *text); // a new string: an id as it is, anything else by the rule

enum { NAME_UNKNOWN = -1, NAME_AMBIGUOUS = -2 };

// The ids that a list can be about. One object per list; not for several threads at once.
typedef struct Names Names;

// ids [n], sorted in the C locale and kept by the caller as long as the object lives.
Names *names_create(char *const *ids, int64_t n);
void names_destroy(Names *names); // NULL is fine
// The index of the id that text means, NAME_UNKNOWN or NAME_AMBIGUOUS.
int64_t names_find(Names *names, const char *text);

// The same for a part of a line: as it stands first, then without blanks at both ends, then without quotes
// around it. *trims: how much of that was needed (0, 1, 2), so that of two readings the more exact one
// counts.
int64_t names_find_part(Names *names, const char *text, size_t length, int *trims);
// text [length] without blanks at both ends and quotes around it, a new string.
char *names_trim(const char *text, size_t length);
const char *names_id(const Names *names, int64_t index);

// For a list whose every name is unknown: the shortest folder that has to be taken away from text to leave a
// known name ("/data/vox/" of manifests with absolute paths), a new string, or NULL; and to take it away from
// all that is looked for from now on, so that names elsewhere stay unknown.
char *names_find_prefix(Names *names, const char *text);
void names_set_prefix(Names *names, const char *prefix);
