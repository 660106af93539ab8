#include "train/teacher.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cache/embeddings.h"

static int report_missing(const char *path, const Corpus *corpus, const Embeddings *found, Error *error)
{
    char names[512] = "";
    int64_t n = 0;
    for (int64_t i = 0; i < corpus_count(corpus); i++) {
        const char *utt = corpus_utt(corpus, i);
        if (embeddings_find(found, utt) >= 0)
            continue;
        if (n++ < 5)
            text_append(names, sizeof names, utt);
    }
    return error_set(error,
                     "%s lacks %lld of the %lld utterances: %s; extract them with the audio of this training",
                     path, (long long)n, (long long)corpus_count(corpus), names);
}

int teacher_load(const char *path, const Corpus *corpus, Teacher *teacher, Error *error)
{
    Embeddings found = {0};
    *teacher = (Teacher){0};
    if (embeddings_load(path, NULL, &found, error) < 0)
        return -1;
    int64_t n = corpus_count(corpus), dim = teacher->dim = found.dim;
    teacher->rows = mem_try_alloc((size_t)n, (size_t)dim * sizeof(float), "the teacher's embeddings", error);
    int status = teacher->rows ? 0 : -1;
    for (int64_t i = 0; status == 0 && i < n; i++) {
        int64_t at = embeddings_find(&found, corpus_utt(corpus, i));
        if (at < 0)
            status = report_missing(path, corpus, &found, error);
        else
            memcpy(teacher->rows + i * dim, found.matrix + at * dim, (size_t)dim * sizeof(float));
    }
    embeddings_release(&found);
    return status;
}

void teacher_release(Teacher *teacher)
{
    mem_free(teacher->rows);
    *teacher = (Teacher){0};
}
