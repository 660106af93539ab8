#include "train/labelling.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "cache/copies.h"
#include "cache/label_shard.h"
#include "cache/lists.h"
#include "train/batches.h"

static void give_class(Labelling *l, int64_t utt, int64_t *class)
{
    if (*class < 0)
        *class = l->n_classes++;
    l->labels[utt] = *class;
}

// Recordings that were rejected as copies: their labels are those of the first, where it has none itself.
static int label_by_copies(const Corpus *corpus, const LabelList *list, int64_t *class_of, Labelling *l,
                           int64_t *n_of_copies, Error *error)
{
    CopyRow *copies;
    int64_t n;
    int status = copies_load(corpus, &copies, &n, error);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = labels_find(list, copies[i].utt);
        *n_of_copies += at >= 0;
        if (at >= 0 && l->labels[copies[i].first] < 0)
            give_class(l, copies[i].first, &class_of[list->labels[at]]);
    }
    copies_release(copies, n);
    return status;
}

int labelling_load(const char *path, const Corpus *corpus, Labelling *l, Error *error)
{
    LabelList list = {0};
    if (labels_load_any(path, corpus_utts(corpus), corpus_count(corpus), &list, error) < 0)
        return -1;
    int64_t n = corpus_count(corpus), n_labelled = 0;
    *l = (Labelling){.n_utts = n};
    int64_t *class_of = mem_alloc((size_t)list.n_labels + 1, sizeof(int64_t));
    memset(class_of, 0xff, (size_t)list.n_labels * sizeof(int64_t)); // -1
    l->labels = mem_alloc((size_t)n, sizeof(int64_t));
    for (int64_t i = 0; i < n; i++) {
        int64_t at = labels_find(&list, corpus_utt(corpus, i));
        l->labels[i] = -1;
        if (at < 0)
            continue;
        give_class(l, i, &class_of[list.labels[at]]);
        n_labelled++;
    }
    int64_t n_strangers = list.n - n_labelled, n_of_copies = 0;
    int status = label_by_copies(corpus, &list, class_of, l, &n_of_copies, error);
    if (n_labelled + n_of_copies == 0 && list.n > 0)
        error_set(error,
                  "%s knows no utterance of the audio: it calls its first %s, the audio's is called %s", path,
                  list.utts[0], corpus_utt(corpus, 0));
    mem_free(class_of);
    labels_release(&list);
    if (status < 0)
        return -1;
    n_strangers -= n_of_copies;
    n_labelled = 0;
    for (int64_t i = 0; i < n; i++)
        n_labelled += l->labels[i] >= 0;
    if (l->n_classes < 2)
        return error_set(error,
                         "%s gives %lld pseudo-speakers to the utterances of the audio; training needs at "
                         "least 2",
                         path, (long long)l->n_classes);
    log_info("%lld of %lld utterances have labels, %lld pseudo-speakers; %lld labels are of utterances that "
             "the audio lacks",
             (long long)n_labelled, (long long)n, (long long)l->n_classes, (long long)n_strangers);
    return 0;
}

int labelling_drop_small(Labelling *l, int64_t least, int64_t n_together, Error *error)
{
    int64_t *size = mem_zero((size_t)l->n_classes, sizeof(int64_t)), n_kept = 0, n_utts = 0;
    for (int64_t i = 0; i < l->n_utts; i++)
        if (l->labels[i] >= 0)
            size[l->labels[i]]++;
    for (int64_t c = 0; c < l->n_classes; c++)
        size[c] = size[c] < least ? -1 : n_kept++; // its new number
    for (int64_t i = 0; i < l->n_utts; i++) {
        l->labels[i] = l->labels[i] < 0 ? -1 : size[l->labels[i]];
        n_utts += l->labels[i] >= 0;
    }
    mem_free(size);
    int64_t n_dropped = l->n_classes - n_kept;
    l->n_classes = n_kept;
    if (n_dropped > 0)
        log_info("%lld pseudo-speakers with fewer than %lld utterances are left out; %lld with %lld "
                 "utterances stay",
                 (long long)n_dropped, (long long)least, (long long)n_kept, (long long)n_utts);
    if (n_kept < n_together)
        return error_set(
            error,
            "%lld pseudo-speakers have %lld or more utterances, and a batch takes %lld of them; use a "
            "smaller --batch, or fewer clusters",
            (long long)n_kept, (long long)least, (long long)n_together);
    return 0;
}

Sampler *labelling_sampler(Labelling *l, const LabelSampling *sampling, int64_t n_views, int64_t batch_size,
                           uint64_t seed, Error *error)
{
    int64_t most = sampling->most_per_class;
    if (n_views == 1)
        return sampler_create_balanced(l->labels, l->n_utts, l->n_classes, most, batch_size, seed);
    if (labelling_drop_small(l, sampling->same_recording ? 1 : n_views, batch_size / n_views, error) < 0)
        return NULL;
    return sampler_create_grouped(l->labels, l->n_utts, l->n_classes, most, batch_size, n_views,
                                  sampling->same_recording, seed);
}

void labelling_add_speeds(Labelling *l)
{
    int64_t n = l->n_utts, n_classes = l->n_classes;
    l->labels = mem_grow(l->labels, (size_t)(BATCH_SPEEDS * n), sizeof(int64_t));
    for (int64_t i = n; i < BATCH_SPEEDS * n; i++)
        l->labels[i] = l->labels[i % n] < 0 ? -1 : l->labels[i % n] + i / n * n_classes;
    l->n_utts *= BATCH_SPEEDS;
    l->n_classes *= BATCH_SPEEDS;
    log_info("at %d speeds: %lld classes", BATCH_SPEEDS, (long long)l->n_classes);
}

Labelling labelling_plan(int64_t n_utts, int64_t n_classes)
{
    Labelling l = {mem_alloc((size_t)n_utts, sizeof(int64_t)), n_utts, n_classes};
    for (int64_t i = 0; i < n_utts; i++)
        l.labels[i] = i % n_classes;
    return l;
}

void labelling_release(Labelling *l)
{
    mem_free(l->labels);
    *l = (Labelling){0};
}
