// The embeddings of another system that a student is to come near to.
#pragma once
#include "base/error.h"
#include "cache/corpus.h"

typedef struct Teacher {
    float *rows; // [utterances of the corpus, dim]
    int64_t dim;
} Teacher;

// From any file of embeddings (cache/embeddings.h). An error that names the first five where utterances are
// missing.
int teacher_load(const char *path, const Corpus *corpus, Teacher *teacher, Error *error);
void teacher_release(Teacher *teacher);
