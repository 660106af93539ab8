// A text that grows at its end. Unlike a stream in memory it cannot fail half-way: where there is no memory
// the program ends (base/memory.h).
//
//     TextBuffer text = {0};
//     buffer_printf(&text, "%s\t%d\n", name, n);
//     publish_text(path, buffer_text(&text), error);
//     buffer_release(&text);
#pragma once
#include <stddef.h>

typedef struct TextBuffer {
    char *data; // [n_bytes] and a NUL; NULL as long as nothing was added
    size_t n_bytes, capacity;
} TextBuffer;

void buffer_add(TextBuffer *text, const void *bytes, size_t n_bytes);
void buffer_printf(TextBuffer *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *buffer_text(const TextBuffer *text); // "" for an empty one; good until the next addition
void buffer_release(TextBuffer *text);           // leaves an empty one
