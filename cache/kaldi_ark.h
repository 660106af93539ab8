// Kaldi's archives of vectors: an ark is "<utt> " NUL 'B' "FV " 4 <int32 dim> <dim floats> again and again
// ("DV " with doubles); the scp beside it has lines `utt ark:offset`, the offset being that of the NUL
// (kaldi-io.cc, kaldi-vector.cc).
#pragma once
#include "cache/embeddings.h"

// Writes the ark and, with .scp for .ark in its name, the scp.
int ark_publish(const char *path, const Embeddings *embeddings, Error *error);
// Rows in the file's order. An error names the file, the utterance or line, and what is wrong.
int ark_load(const char *path, Embeddings *embeddings, Error *error);
int ark_scp_load(const char *path, Embeddings *embeddings, Error *error);
