#include "base/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/files.h"
#include "base/memory.h"

size_t text_code_point(const char *text, size_t n, int *code)
{
    utf8proc_int32_t found;
    utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &found);
    if (length <= 0 || found < 0)
        return 0;
    *code = (int)found;
    return (size_t)length;
}

// --- what a terminal shows

// Beyond ASCII: C1 controls, line and paragraph separators, marks of reading direction, the byte-order mark.
static bool disturbs(int code)
{
    return (code >= 0x80 && code < 0xA0) || code == 0x200E || code == 0x200F ||
           (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

static size_t write_control(char *out, unsigned char byte)
{
    static const char *const NAMES[] = {['\t'] = "\\t", ['\n'] = "\\n", ['\r'] = "\\r"};
    const char *name = byte <= '\r' ? NAMES[byte] : NULL;
    return (size_t)(name ? sprintf(out, "%s", name) : sprintf(out, "\\x%02x", byte));
}

// Bytes that are not UTF-8 are always written so; controls where the text is for a terminal.
static char *rewrite(const char *text, bool for_terminal)
{
    size_t n = strlen(text), used = 0;
    char *out = mem_alloc(n + 1, 4); // a byte becomes at most \xff, a code point of two bytes \u0085
    for (size_t i = 0, length; i < n; i += length) {
        int code = 0;
        length = text_code_point(text + i, n - i, &code);
        if (length == 0 || (for_terminal && (code < ' ' || code == 0x7f))) {
            length = 1;
            used += write_control(out + used, (unsigned char)text[i]);
        } else if (for_terminal && disturbs(code)) {
            used += (size_t)sprintf(out + used, "\\u%04x", (unsigned)code);
        } else {
            memcpy(out + used, text + i, length);
            used += length;
        }
    }
    out[used] = '\0';
    return out;
}

char *text_visible(const char *text)
{
    return rewrite(text, true);
}

char *text_as_utf8(const char *text)
{
    return rewrite(text, false);
}

void text_print_line(FILE *out, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    char *visible = text_visible(text);
    fprintf(out, "%s\n", visible);
    mem_free(visible);
    free(text);
}

void text_append(char *buffer, size_t size, const char *word)
{
    static const char SEPARATOR[] = ", ", MORE[] = "...";
    size_t used = strlen(buffer), more = strlen(MORE);
    if (used >= more && strcmp(buffer + used - more, MORE) == 0)
        return;
    const char *separator = used > 0 ? SEPARATOR : "";
    bool fits = used + strlen(separator) + strlen(word) + strlen(SEPARATOR) + more < size;
    snprintf(buffer + used, size - used, "%s%s", separator, fits ? word : MORE);
}

// --- what somebody wrote

static int refuse_nul(const char *path, const char *text, size_t n, Error *error)
{
    const unsigned char *mark = (const unsigned char *)text;
    if (n >= 2 && ((mark[0] == 0xFF && mark[1] == 0xFE) || (mark[0] == 0xFE && mark[1] == 0xFF)))
        return error_set(error, "%s is UTF-16; save it as UTF-8", path);
    const char *nul = memchr(text, '\0', n);
    long long line = 1;
    for (const char *c = text; nul && c < nul; c++)
        line += *c == '\n';
    return nul ? error_set(error, "%s:%lld: holds a NUL byte, so it is no text; is it the right file?", path,
                           line)
               : 0;
}

int text_read(const char *path, char **text, Error *error)
{
    static const char BYTE_ORDER_MARK[] = "\xEF\xBB\xBF";
    char *data;
    size_t n;
    if (file_read(path, &data, &n, error) < 0)
        return -1;
    if (refuse_nul(path, data, n, error) < 0) {
        mem_free(data);
        return -1;
    }
    if (strncmp(data, BYTE_ORDER_MARK, 3) == 0)
        memmove(data, data + 3, n - 2);
    if (!strchr(data, '\n')) // old Macs
        for (char *c = data; (c = strchr(c, '\r'));)
            *c = '\n';
    *text = data;
    return 0;
}

char *text_next_line(char **rest)
{
    char *line = *rest;
    if (!*line)
        return NULL;
    size_t length = strcspn(line, "\n");
    *rest = line + length + (line[length] == '\n');
    line[length] = '\0';
    if (length > 0 && line[length - 1] == '\r')
        line[length - 1] = '\0';
    return line;
}
