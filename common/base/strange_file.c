#include "base/strange_file.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

typedef struct Sign {
    const char *bytes;
    size_t n_bytes, at;
    const char *what;
} Sign;
#define SIGN(text, at, what)                                                                                 \
    {                                                                                                        \
        text, sizeof text - 1, at, what                                                                      \
    }

static const Sign POINTERS[] = {
    SIGN("version https://git-lfs.github.com/spec/", 0,
         "is a Git LFS pointer, not the file itself; git lfs pull fetches that"),
    SIGN("/annex/objects/", 0, "is a git-annex pointer, not the file itself; git annex get fetches that"),
};
static const Sign ARCHIVES[] = {
    SIGN("PK\3\4", 0, "is a zip archive (as .npz, .docx and PyTorch's files are)"),
    SIGN("\x1f\x8b", 0, "is compressed by gzip; unpack it first"),
    SIGN("BZh", 0, "is compressed by bzip2; unpack it first"),
    SIGN("\xfd"
         "7zXZ",
         0, "is compressed by xz; unpack it first"),
    SIGN("7z\xbc\xaf", 0, "is a 7z archive; unpack it first"),
    SIGN("Rar!", 0, "is a rar archive; unpack it first"),
    SIGN("ustar", 257, "is a tar archive; unpack it first"),
    SIGN("\x28\xb5\x2f\xfd", 0, "is compressed by zstd, as voxloop's shards are"),
    SIGN("\x93NUMPY", 0, "is a NumPy array (.npy)"),
    SIGN("%PDF", 0, "is a PDF document"),
};
#define N_OF(table) (sizeof(table) / sizeof(table)[0])

static const char *find_sign(const Sign *signs, size_t n, const char *head, size_t n_head)
{
    for (size_t i = 0; i < n; i++)
        if (n_head >= signs[i].at + signs[i].n_bytes &&
            memcmp(head + signs[i].at, signs[i].bytes, signs[i].n_bytes) == 0)
            return signs[i].what;
    return NULL;
}

// Behind a byte-order mark and blanks, in any case.
static bool is_web_page(const char *head, size_t n_head)
{
    static const char *const BEGINS[] = {"<!doctype html", "<html", "<head", "<?xml", "<body", "<error>"};
    size_t at = n_head >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < n_head && isspace((unsigned char)head[at]))
        at++;
    for (size_t i = 0; i < N_OF(BEGINS); i++) {
        size_t length = strlen(BEGINS[i]);
        if (n_head - at >= length && strncasecmp(head + at, BEGINS[i], length) == 0)
            return true;
    }
    return false;
}

const char *strange_text(const void *head, size_t n_head)
{
    if (is_web_page(head, n_head))
        return "is a web page or an error message of a server, not the file itself; download that again";
    return find_sign(POINTERS, N_OF(POINTERS), head, n_head);
}

const char *strange_content(const void *head, size_t n_head, int64_t n_bytes)
{
    if (n_bytes == 0)
        return "is empty: a file of no bytes";
    const char *what = strange_text(head, n_head);
    return what ? what : find_sign(ARCHIVES, N_OF(ARCHIVES), head, n_head);
}

static bool is_text(const char *head, size_t n_head)
{
    size_t n_printable = 0;
    while (n_printable < n_head &&
           (isprint((unsigned char)head[n_printable]) || isspace((unsigned char)head[n_printable]) ||
            (unsigned char)head[n_printable] >= 0x80))
        n_printable++;
    return n_head > 0 && n_printable == n_head;
}

int strange_file_refuse(const char *path, Error *error)
{
    struct stat info;
    char head[STRANGE_HEAD_BYTES + 1];
    FILE *file = stat(path, &info) == 0 && S_ISREG(info.st_mode) ? fopen(path, "rbe") : NULL;
    if (!file)
        return 0;
    size_t n_head = fread(head, 1, STRANGE_HEAD_BYTES, file);
    fclose(file);
    const char *what = strange_content(head, n_head, info.st_size);
    if (what)
        return error_set(error, "%s %s", path, what);
    if (is_text(head, n_head)) {
        head[n_head < 60 ? n_head : 60] = '\0';
        return error_set(error, "%s is text, which is not read here; it begins \"%.*s\"", path,
                         (int)strcspn(head, "\r\n"), head);
    }
    return 0;
}
