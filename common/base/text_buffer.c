#include "base/text_buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { FIRST_BYTES = 256 };

// Room for n_bytes more and the NUL.
static void make_room(TextBuffer *text, size_t n_bytes)
{
    size_t wanted;
    if (__builtin_add_overflow(text->n_bytes + 1, n_bytes, &wanted))
        mem_exhausted(n_bytes);
    if (wanted <= text->capacity)
        return;
    size_t doubled = text->capacity ? 2 * text->capacity : FIRST_BYTES;
    text->capacity = doubled > wanted ? doubled : wanted;
    text->data = mem_grow(text->data, text->capacity, 1);
}

void buffer_add(TextBuffer *text, const void *bytes, size_t n_bytes)
{
    make_room(text, n_bytes);
    if (n_bytes > 0)
        memcpy(text->data + text->n_bytes, bytes, n_bytes);
    text->n_bytes += n_bytes;
    text->data[text->n_bytes] = '\0';
}

void buffer_printf(TextBuffer *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0)
        mem_exhausted(0);
    make_room(text, (size_t)length);
    vsnprintf(text->data + text->n_bytes, (size_t)length + 1, format, again);
    text->n_bytes += (size_t)length;
    va_end(again);
    va_end(arguments);
}

const char *buffer_text(const TextBuffer *text)
{
    return text->data ? text->data : "";
}

void buffer_release(TextBuffer *text)
{
    mem_free(text->data);
    *text = (TextBuffer){0};
}
