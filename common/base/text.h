// Text from outside: names, lists, error sentences. Bytes are UTF-8 where they are valid and nothing in
// particular where they are not; nothing here changes or rejects a valid letter.
//
// What goes to a terminal, a log or a table passes text_visible(): a name or a file's content must not move
// the cursor, colour the screen, break a line in two or turn the reading direction. What users write passes
// text_read() and text_next_line(), so that a byte-order mark and the line ends of other systems are met
// everywhere, and a binary file is called one.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

// The code point at text[0 .. n), n > 0: its length in bytes, with the number in *code; 0 where the bytes are
// not valid UTF-8 (overlong forms, surrogates and what lies above U+10FFFF included).
size_t text_code_point(const char *text, size_t n, int *code);

// A new string for one line of a terminal: control characters as \n, \t, \r or \x1b, bytes that are not UTF-8
// as \xff, C1 controls, line separators and marks of reading direction as \u2028; all else as it is.
char *text_visible(const char *text);
// A new string for JSON, which is UTF-8 only: bytes that are not as \xff, all else as it is.
char *text_as_utf8(const char *text);
// printf() of one line: what the format gives, made visible, and '\n'; one write.
void text_print_line(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Appends word, behind ", " when the buffer of `size` bytes holds something, or "..." once where it does not
// fit; nothing more is appended then. The buffer is a string, at first "".
void text_append(char *buffer, size_t size, const char *word);

// The whole of a text file that somebody wrote; mem_free() it. A byte-order mark is taken away; lines may end
// as on Unix, Windows or old Macs. UTF-16 and NUL bytes are errors that name the file and the line.
int text_read(const char *path, char **text, Error *error);
// Cuts the next line off *rest, without its end; NULL behind the last one. Everything else stays as it is,
// blanks at both ends included.
char *text_next_line(char **rest);
