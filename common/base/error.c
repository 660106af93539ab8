#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Head, separator and tail. What is too long for the object keeps its beginning, where the file's name is,
// and its end, where the reason and the remedy are.
static void store(Error *error, const char *head, const char *separator, const char *tail)
{
    static const char GAP[] = " [...] ";
    char *whole = NULL;
    int written = asprintf(&whole, "%s%s%s", head, separator, tail);
    if (written < 0) // no memory: the head must do
        return (void)snprintf(error->text, sizeof error->text, "%s", head);
    size_t length = (size_t)written, room = sizeof error->text - 1;
    if (length <= room) {
        memcpy(error->text, whole, length + 1);
    } else {
        size_t half = (room - strlen(GAP)) / 2;
        while (half > 1 && ((unsigned char)whole[half] & 0xC0) == 0x80) // not inside a letter
            half--;
        const char *end = whole + length - half;
        while ((*end & 0xC0) == 0x80)
            end++;
        snprintf(error->text, sizeof error->text, "%.*s%s%s", (int)half, whole, GAP, end);
    }
    free(whole);
}

static void set_sentence(Error *error, const char *format, va_list arguments, const char *separator,
                         const char *tail)
{
    char *head = NULL;
    if (vasprintf(&head, format, arguments) < 0)
        head = NULL;
    store(error, head ? head : "out of memory", separator, tail);
    free(head);
}

int error_set(Error *error, const char *format, ...)
{
    if (!error || error->text[0])
        return -1;
    va_list arguments;
    va_start(arguments, format);
    set_sentence(error, format, arguments, "", "");
    va_end(arguments);
    return -1;
}

int error_set_errno(Error *error, const char *format, ...)
{
    const char *reason = strerror(errno);
    if (!error || error->text[0])
        return -1;
    va_list arguments;
    va_start(arguments, format);
    set_sentence(error, format, arguments, ": ", reason);
    va_end(arguments);
    return -1;
}

int error_prefix(Error *error, const char *format, ...)
{
    if (!error)
        return -1;
    char old[sizeof error->text];
    memcpy(old, error->text, sizeof old);
    va_list arguments;
    va_start(arguments, format);
    set_sentence(error, format, arguments, ": ", old);
    va_end(arguments);
    return -1;
}

void error_clear(Error *error)
{
    if (error)
        error->text[0] = '\0';
}
