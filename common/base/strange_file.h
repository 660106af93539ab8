// Files that are not what their name says, as downloads and repositories leave them: empty ones, pointers of
// Git LFS and git-annex, web pages and error texts, archives that want unpacking. A reader that does not find
// its format asks here for a better sentence than "damaged".
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { STRANGE_HEAD_BYTES = 512 };

// What the file is, as the end of a sentence ("is empty", "is a web page ..."), from its first bytes; NULL:
// nothing that is known here. head [n_head] are the first STRANGE_HEAD_BYTES, or all; n_bytes: of the file.
const char *strange_content(const void *head, size_t n_head, int64_t n_bytes);
// Only those that no reader of text expects either: pointers and web pages.
const char *strange_text(const void *head, size_t n_head);
// -1 with "PATH is ..." where the file is one of these, or is text and was meant to be binary; 0 otherwise,
// and where it cannot be read.
int strange_file_refuse(const char *path, Error *error);
