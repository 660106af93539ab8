// Kaldi's archives of vectors: an ark is "<utt> " NUL 'B' "FV " 4 <int32 dim> <dim floats> again and again
// ("DV " with doubles); the scp beside it has lines `utt ark:offset`, the offset being that of the NUL
// (kaldi-io.cc, kaldi-vector.cc).
#pragma once
#include "cache/embeddings.h"

// Writes the ark and, with .scp for .ark in its name, the scp.
char *ark_scp_path(const char *ark); // the scp's; the caller frees
int ark_publish(const char *path, const Embeddings *embeddings, Error *error);
// Rows in the file's order. An error names the file, the utterance or line, and what is wrong.
int ark_load(const char *path, Embeddings *embeddings, Error *error);
int ark_scp_load(const char *path, Embeddings *embeddings, Error *error);
// The archives that a scp names, each once, in its order. The caller frees with strings_free().
int ark_scp_archives(const char *path, char ***archives, int64_t *n, Error *error);
