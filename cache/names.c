#include "cache/names.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/memory.h"
#include "base/text.h"
#include "cache/lists.h"

// --- the rule

static bool is_blank_or_control(int code)
{
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return true;
    default:
        return code == 0xFEFF; // the byte-order mark
    }
}

// The length of what stands at text[0 .. n), n > 0; *encoded: an id cannot hold it.
static size_t character(const char *text, size_t n, bool *encoded)
{
    int code = 0;
    size_t length = text_code_point(text, n, &code);
    *encoded = length == 0 || code == '%' || code == '"' || is_blank_or_control(code);
    return length ? length : 1;
}

// A path part "." or "..", of which this is the beginning; its length, 0: another part.
static size_t dots(const char *part)
{
    size_t n = strspn(part, ".");
    return n <= 2 && n > 0 && (part[n] == '/' || part[n] == '\0') ? n : 0;
}

// Where "#1" or "#2" stands at the end; the length otherwise.
static size_t half_mark(const char *text, size_t n)
{
    return n >= 2 && text[n - 2] == '#' && (text[n - 1] == '1' || text[n - 1] == '2') ? n - 2 : n;
}

static char *write_bytes(char *out, const char *bytes, size_t n, bool encoded)
{
    static const char HEX[] = "0123456789ABCDEF";
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (encoded)
            *out++ = '%', *out++ = HEX[byte >> 4], *out++ = HEX[byte & 15];
        else
            *out++ = (char)byte;
    }
    return out;
}

const char *name_without_here(const char *name)
{
    while (name[0] == '.' && name[1] == '/')
        for (name += 2; *name == '/';)
            name++;
    return name;
}

// Letters, digits and a few signs, no dots where a part begins: surely its own id. Most names are.
static bool is_plain(const char *text)
{
    bool begins_part = true;
    if (!text[0] || text[0] == '/')
        return false;
    for (; *text; text++) {
        char c = *text;
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
                    c == '_' || c == '-' || (c == '.' && !begins_part);
        if (!fine)
            return false;
        begins_part = c == '/';
    }
    return true;
}

char *name_to_id(const char *name)
{
    name = name_without_here(name);
    size_t n = strlen(name), half = half_mark(name, n), slashes = strspn(name, "/");
    char *id = mem_alloc(n + 1, 3), *out = write_bytes(id, name, slashes, true);
    for (size_t i = slashes, length; i < n; i += length) {
        bool encoded, begins_part = i == 0 || name[i - 1] == '/';
        size_t n_dots = begins_part ? dots(name + i) : 0;
        length = n_dots ? n_dots : character(name + i, n - i, &encoded);
        out = write_bytes(out, name + i, length, n_dots || encoded || i == half);
    }
    *out = '\0';
    return id;
}

bool name_is_id(const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || text[0] == '/')
        return false;
    for (size_t i = 0; i < n;) {
        bool encoded;
        if ((i == 0 || text[i - 1] == '/') && dots(text + i))
            return false;
        i += character(text + i, n - i, &encoded);
        if (encoded && text[i - 1] != '%')
            return false;
    }
    return true;
}

char *name_as_id(const char *text)
{
    return name_is_id(text) ? mem_strdup(text) : name_to_id(text);
}

// --- looking for ids

typedef struct Composed {
    char *text; // in NFC
    int64_t index;
} Composed;

struct Names {
    char *const *ids;
    int64_t n;
    Composed *composed; // [n_composed] of the ids that are not ASCII, sorted; made when first needed
    int64_t n_composed;
    bool has_composed;
    char *prefix; // taken away from what is looked for; NULL: none
};

Names *names_create(char *const *ids, int64_t n)
{
    Names *names = mem_zero(1, sizeof *names);
    names->ids = ids;
    names->n = n;
    return names;
}

void names_destroy(Names *names)
{
    if (!names)
        return;
    for (int64_t i = 0; i < names->n_composed; i++)
        mem_free(names->composed[i].text);
    mem_free(names->composed);
    mem_free(names->prefix);
    mem_free(names);
}

static bool is_ascii(const char *text)
{
    while (*text && (unsigned char)*text < 0x80)
        text++;
    return *text == '\0';
}

// A new string; of what is not UTF-8, a copy.
static char *compose(const char *text)
{
    utf8proc_uint8_t *composed = is_ascii(text) ? NULL : utf8proc_NFC((const utf8proc_uint8_t *)text);
    char *copy = mem_strdup(composed ? (const char *)composed : text);
    free(composed);
    return copy;
}

static int compare_composed(const void *a, const void *b)
{
    const Composed *left = a, *right = b;
    int order = strcmp(left->text, right->text);
    return order ? order : (left->index > right->index) - (left->index < right->index);
}

static void compose_ids(Names *names)
{
    names->has_composed = true;
    for (int pass = 0; pass < 2; pass++) {
        int64_t n = 0;
        for (int64_t i = 0; i < names->n; i++) {
            if (is_ascii(names->ids[i]))
                continue;
            if (pass == 1)
                names->composed[n] = (Composed){compose(names->ids[i]), i};
            n++;
        }
        if (pass == 0)
            names->composed = mem_alloc((size_t)n + 1, sizeof(Composed));
        names->n_composed = n;
    }
    if (names->n_composed > 0)
        qsort(names->composed, (size_t)names->n_composed, sizeof(Composed), compare_composed);
}

// Two places where one text was found become one answer.
static int64_t both(int64_t a, int64_t b)
{
    if (a == NAME_UNKNOWN || a == b)
        return b;
    return b == NAME_UNKNOWN ? a : NAME_AMBIGUOUS;
}

static int64_t find_composed(Names *names, const char *text)
{
    if (!names->has_composed)
        compose_ids(names);
    char *wanted = compose(text);
    int64_t low = 0, high = names->n_composed, found = strings_find(names->ids, names->n, wanted);
    while (low < high) { // the first that is not below
        int64_t middle = low + (high - low) / 2;
        if (strcmp(names->composed[middle].text, wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < names->n_composed && strcmp(names->composed[low].text, wanted) == 0; low++)
        found = both(found, names->composed[low].index);
    mem_free(wanted);
    return found;
}

static int64_t find_whole(Names *names, const char *text)
{
    int64_t found = strings_find(names->ids, names->n, text);
    if (is_plain(text))
        return found;
    char *id = name_to_id(text);
    bool other = strcmp(id, text) != 0;
    if (other)
        found = both(found, strings_find(names->ids, names->n, id));
    if (found == NAME_UNKNOWN && !is_ascii(text)) {
        found = find_composed(names, text);
        if (other)
            found = both(found, find_composed(names, id));
    }
    mem_free(id);
    return found;
}

int64_t names_find(Names *names, const char *text)
{
    if (!names->prefix)
        return find_whole(names, text);
    size_t length = strlen(names->prefix);
    return strncmp(text, names->prefix, length) == 0 ? find_whole(names, text + length) : NAME_UNKNOWN;
}

static char *copy_of(const char *text, size_t length)
{
    char *copy = mem_alloc(length + 1, 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

static void trim_blanks(const char **text, size_t *length)
{
    while (*length > 0 && (**text == ' ' || **text == '\t'))
        (*text)++, (*length)--;
    while (*length > 0 && ((*text)[*length - 1] == ' ' || (*text)[*length - 1] == '\t'))
        (*length)--;
}

// A new string without the quotes, doubled ones single; NULL: there are none around it.
static char *unquoted(const char *text, size_t length)
{
    if (length < 2 || text[0] != '"' || text[length - 1] != '"')
        return NULL;
    char *inner = mem_alloc(length, 1), *out = inner;
    for (size_t i = 1; i + 1 < length; i++) {
        *out++ = text[i];
        i += text[i] == '"' && text[i + 1] == '"' && i + 2 < length;
    }
    *out = '\0';
    return inner;
}

char *names_trim(const char *text, size_t length)
{
    trim_blanks(&text, &length);
    char *inner = unquoted(text, length);
    return inner ? inner : copy_of(text, length);
}

static int64_t find_copy(Names *names, const char *text, size_t length)
{
    char small[256], *copy = length < sizeof small ? small : mem_alloc(length + 1, 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    int64_t found = names_find(names, copy);
    if (copy != small)
        mem_free(copy);
    return found;
}

int64_t names_find_part(Names *names, const char *text, size_t length, int *trims)
{
    char *inner;
    int64_t found = find_copy(names, text, length);
    *trims = 0;
    if (found != NAME_UNKNOWN)
        return found;
    const char *begin = text;
    size_t before = length;
    trim_blanks(&begin, &length);
    if (length < before && length > 0) {
        found = find_copy(names, begin, length);
        *trims = 1;
    }
    if (found == NAME_UNKNOWN && (inner = unquoted(begin, length))) {
        found = names_find(names, inner);
        mem_free(inner);
        *trims = 2;
    }
    return found;
}

const char *names_id(const Names *names, int64_t index)
{
    return names->ids[index];
}

char *names_find_prefix(Names *names, const char *text)
{
    for (const char *slash = text; (slash = strchr(slash, '/')); slash++)
        if (slash[1] && find_whole(names, slash + 1) >= 0)
            return copy_of(text, (size_t)(slash + 1 - text));
    return NULL;
}

void names_set_prefix(Names *names, const char *prefix)
{
    mem_free(names->prefix);
    names->prefix = mem_strdup(prefix);
}
