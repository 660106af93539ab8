// A set of embeddings: matrix [n, dim] and one utterance id per row.
// On disk: a shard with embeddings.npy and utts.txt, or x.npy with the list x.utts.txt, or a Kaldi ark
// (kaldi_ark.h).
//
// Other tools leave one utts.txt in a folder. It is taken for a matrix without a list of its own where it has
// as many lines as that has rows, and no other matrix in the folder has as many; a warning says so.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

typedef struct Embeddings {
    float *matrix; // [n, dim]
    char **utts;   // [n] ids (cache/names.h), sorted in the C locale
    int64_t n, dim;
} Embeddings;

// path: *.tar.zst, a Kaldi *.ark or *.scp, or *.npy (then list_path names its rows; NULL: the list beside
// it).
int embeddings_load(const char *path, const char *list_path, Embeddings *embeddings, Error *error);
bool embeddings_take_list(const char *path); // a .npy: its rows' names are in another file
// The list beside a .npy, by its own name or as utts.txt; a new string, NULL where there is none.
char *embeddings_list_beside(const char *npy);
int embeddings_publish_shard(const char *path, const Embeddings *embeddings, Error *error);
// And x.utts.txt for x.npy.
int embeddings_publish_npy(const char *path, const Embeddings *embeddings, Error *error);
int64_t embeddings_find(const Embeddings *embeddings, const char *utt); // -1: not there
void embeddings_release(Embeddings *embeddings);
