#include "cache/pieces.h"

#include <string.h>

#include "base/memory.h"

Piece piece_of(const Corpus *corpus, int64_t utt, int half)
{
    int64_t n = corpus_samples(corpus, utt), middle = n / 2;
    if (half == 0)
        return (Piece){utt, 0, n};
    return half == 1 ? (Piece){utt, 0, middle} : (Piece){utt, middle, n - middle};
}

Piece piece_of_crops(const Corpus *corpus, int64_t utt, int64_t index, int64_t count, int64_t n_samples)
{
    int64_t n = corpus_samples(corpus, utt), last = n - n_samples;
    if (last <= 0)
        return (Piece){utt, 0, n};
    return (Piece){utt, count > 1 ? last * index / (count - 1) : last / 2, n_samples};
}

char *piece_name(const char *utt, int half)
{
    return half == 0 ? mem_strdup(utt) : mem_printf("%s#%d", utt, half);
}

size_t piece_parse(const char *name, int *half)
{
    size_t length = strlen(name);
    bool is_half =
        length > 2 && name[length - 2] == '#' && (name[length - 1] == '1' || name[length - 1] == '2');
    *half = is_half ? name[length - 1] - '0' : 0;
    return is_half ? length - 2 : length;
}

int piece_find(const Corpus *corpus, const char *name, Piece *piece)
{
    int half = 0;
    int64_t utt = corpus_find(corpus, name);
    if (utt < 0) {
        char *whole = mem_printf("%.*s", (int)piece_parse(name, &half), name);
        utt = corpus_find(corpus, whole);
        mem_free(whole);
    }
    if (utt < 0)
        return -1;
    *piece = piece_of(corpus, utt, half);
    return 0;
}
