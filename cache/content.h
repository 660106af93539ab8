// What stands behind a path, told at two prices. The stamp is a digest of names, sizes and times and costs a
// stat() a file; the digest is of the bytes. Equal stamps mean equal bytes; other stamps mean nothing, for a
// file may be touched, copied or moved: then the digests are compared. Never is one time compared with
// another by "newer": clocks are set back and files come with times of their own.
//
//     Content content;
//     if (content_look(path, NULL, &content, error) == 0) {
//         ... content.stamp ...
//         content_digest(&content, error);    // reads the files, once
//         content_release(&content);
//     }
//
// A file is its bytes, and those of the files that it leads to: the list beside a .npy, the archives of a
// .scp. A folder as voxloop-prepare leaves it is its tables: shards.tsv vouches for the shards, of which only
// the sizes are looked at, so that nobody reads 100 GB again. Any other folder is the files below it, by
// their names in it and their bytes; where these are more than FOLDER_READ_BYTES, by names, sizes and times
// alone. Where the folder lies and what it is called does not count. Pipes and devices cannot be looked at
// twice: they have neither stamp nor digest, and nothing that was made from one is ever up to date.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

static const int64_t FOLDER_READ_BYTES = (int64_t)1 << 30;

typedef struct ContentFile {
    char *name, *path;             // name: as it counts, "" for a path that is a file
    int64_t size;                  // bytes; -1: it is not there
    int64_t modified_ns, inode_ns; // times of the content, and of the file itself (mtime, ctime), since 1970
    uint64_t inode;
    char vouched[17]; // digest of what was written into it, by a table; then only that and the size count
} ContentFile;

typedef struct Content {
    char *path;         // as given
    ContentFile *files; // [n] by name
    int64_t n, size;    // bytes of all
    double modified;    // seconds since 1970, of the newest
    bool readable;      // false: it can be read only once
    char stamp[17];     // empty: a file is so young that another write could leave the same times
    char digest[17];    // empty: not read yet, or not readable
} Content;

// skip: NULL, or the path of a file that does not count, below a folder. An error when there is nothing at
// path.
int content_look(const char *path, const char *skip, Content *content, Error *error);
// The content of files that a list stands for: names [n] that count, in an order of their own, and paths [n];
// a path NULL is none, the name counts alone. Files that are not there count as such.
void content_of_files(const char *path, char *const *names, char *const *paths, int64_t n, Content *content);
int content_digest(Content *content, Error *error);
bool content_has_changed(const Content *content); // since it was looked at, by the stamp's facts
void content_release(Content *content);
