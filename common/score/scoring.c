#include "score/scoring.h"

#include <string.h>

#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "cache/label_shard.h"
#include "score/cosine.h"
#include "score/score_norm.h"

static int to_unit_length(Embeddings *embeddings, Error *error)
{
    int64_t bad = rows_normalise(embeddings->matrix, embeddings->n, embeddings->dim);
    return bad < 0 ? 0 : error_set(error, "the embedding of %s is zero or not finite", embeddings->utts[bad]);
}

// Subtracts from every row the mean of its domain's rows that trials name; where there are none, nothing.
// domain_of [n]; NULL: all are of one domain.
static void subtract_means(const int64_t *domain_of, int64_t n_domains, const Trials *trials, Embeddings *e)
{
    bool *named = mem_zero((size_t)e->n, sizeof(bool));
    double *sums = mem_zero((size_t)(n_domains * e->dim), sizeof(double));
    int64_t *counts = mem_zero((size_t)n_domains, sizeof(int64_t));
    for (int64_t t = 0; t < trials->n; t++)
        named[trials->trials[t].enroll] = named[trials->trials[t].test] = true;
    for (int64_t i = 0; i < e->n; i++) {
        int64_t k = domain_of ? domain_of[i] : 0;
        counts[k] += named[i];
        for (int64_t d = 0; named[i] && d < e->dim; d++)
            sums[k * e->dim + d] += e->matrix[i * e->dim + d];
    }
    for (int64_t i = 0; i < e->n; i++) {
        int64_t k = domain_of ? domain_of[i] : 0;
        for (int64_t d = 0; counts[k] > 0 && d < e->dim; d++)
            e->matrix[i * e->dim + d] -= (float)(sums[k * e->dim + d] / (double)counts[k]);
    }
    mem_free(counts);
    mem_free(sums);
    mem_free(named);
}

static int center_rows(const Scoring *s, const Trials *trials, const float *cohort_mean, Embeddings *e,
                       Error *error)
{
    if (!s->center && !s->domains)
        return 0;
    if (cohort_mean)
        rows_subtract(e->matrix, e->n, e->dim, cohort_mean);
    else if (s->domains)
        subtract_means(s->domains->of, s->domains->n, trials, e);
    else
        subtract_means(NULL, 1, trials, e);
    return to_unit_length(e, error) < 0 ? error_prefix(error, "after the mean was subtracted") : 0;
}

// One row per pseudo-speaker instead of one per utterance.
static int take_class_means(const char *path, Embeddings *cohort, Error *error)
{
    LabelList list;
    if (labels_load_any(path, cohort->utts, cohort->n, &list, error) < 0)
        return -1;
    int64_t *labels = mem_alloc((size_t)cohort->n, sizeof(int64_t));
    int status = labels_align(&list, path, cohort->utts, cohort->n, labels, error);
    if (status == 0) {
        float *means = class_means(cohort->matrix, labels, cohort->n, cohort->dim, list.n_labels);
        mem_free(cohort->matrix);
        strings_free(cohort->utts, cohort->n);
        cohort->matrix = means;
        cohort->utts = NULL;
        cohort->n = list.n_labels;
    }
    mem_free(labels);
    labels_release(&list);
    return status;
}

// The embeddings to score against, of length 1, with the same mean subtracted as from those under test.
static int load_cohort(const Scoring *s, const char *name, const Embeddings *embeddings, Embeddings *cohort,
                       float **mean, Error *error)
{
    if (embeddings_load(s->cohort, NULL, cohort, error) < 0)
        return -1;
    if (cohort->dim != embeddings->dim)
        return error_set(error, "%s holds embeddings of %lld dimensions, %s of %lld", s->cohort,
                         (long long)cohort->dim, name, (long long)embeddings->dim);
    if (to_unit_length(cohort, error) < 0)
        return error_prefix(error, "%s", s->cohort);
    if (s->center) {
        *mean = rows_mean(cohort->matrix, cohort->n, cohort->dim);
        rows_subtract(cohort->matrix, cohort->n, cohort->dim, *mean);
        if (to_unit_length(cohort, error) < 0)
            return error_prefix(error, "%s, after its mean was subtracted", s->cohort);
    }
    return s->cohort_labels ? take_class_means(s->cohort_labels, cohort, error) : 0;
}

// What a cohort cannot do is said; false: it can do nothing, and the scores stay as they are.
static bool judge_cohort(const char *path, const Embeddings *embeddings, const Embeddings *cohort,
                         const CohortStatistics *statistics)
{
    long long n_flat = (long long)statistics->n_flat;
    if (n_flat == embeddings->n) {
        log_warn(
            "%s: against these %lld the scores of no embedding vary: they stay cosines; take a cohort of "
            "many speakers",
            path, (long long)cohort->n);
        return false;
    }
    if (n_flat > 0)
        log_warn("%s: against these %lld the scores of %lld embeddings do not vary (the first is %s); they "
                 "take the others' mean deviation",
                 path, (long long)cohort->n, n_flat, embeddings->utts[statistics->first_flat]);
    return true;
}

static bool normalise(const Scoring *s, const Embeddings *embeddings, const Embeddings *cohort,
                      const Trials *trials, double *scores)
{
    log_info("%s: cohort of %lld, the %lld nearest count", s->top > 0 ? "as-norm" : "s-norm",
             (long long)cohort->n, (long long)(s->top > 0 && s->top < cohort->n ? s->top : cohort->n));
    if (s->top > cohort->n)
        log_warn("%s: a cohort of %lld has not the %lld nearest that are to count (--top): all count, as in "
                 "s-norm",
                 s->cohort, (long long)cohort->n, (long long)s->top);
    CohortStatistics statistics = cohort_statistics(embeddings->matrix, embeddings->n, cohort->matrix,
                                                    cohort->n, embeddings->dim, s->top);
    bool useful = judge_cohort(s->cohort, embeddings, cohort, &statistics);
    if (useful)
        score_normalise(trials, &statistics, scores);
    cohort_statistics_release(&statistics);
    return useful;
}

// Averages each score with the mean cosine over all pairs of the two utterances' crops, which is the product
// of their mean unit vectors (voxceleb_trainer's and wavlm_ssl_sv's way).
static int add_crops(const char *path, const Embeddings *embeddings, const Trials *trials, double *scores,
                     Error *error)
{
    Embeddings crops;
    if (embeddings_load(path, NULL, &crops, error) < 0)
        return -1;
    int status = 0;
    float *rows = mem_alloc((size_t)embeddings->n, (size_t)crops.dim * sizeof(float));
    for (int64_t i = 0; status == 0 && i < embeddings->n; i++) {
        int64_t at = embeddings_find(&crops, embeddings->utts[i]);
        if (at < 0)
            status =
                error_set(error, "%s has no %s; extract both from the same audio", path, embeddings->utts[i]);
        else
            memcpy(rows + i * crops.dim, crops.matrix + at * crops.dim, (size_t)crops.dim * sizeof(float));
    }
    double *of_crops = mem_alloc((size_t)trials->n, sizeof(double));
    if (status == 0)
        cosine_score(rows, crops.dim, trials, of_crops);
    for (int64_t t = 0; status == 0 && t < trials->n; t++)
        scores[t] = (scores[t] + of_crops[t]) / 2;
    mem_free(of_crops);
    mem_free(rows);
    embeddings_release(&crops);
    return status;
}

int score_trials(const Scoring *s, const char *name, Embeddings *embeddings, const Trials *trials,
                 double *scores, bool *normalised, Error *error)
{
    Embeddings cohort = {0};
    float *mean = NULL;
    *normalised = false;
    int status = s->cohort ? load_cohort(s, name, embeddings, &cohort, &mean, error) : 0;
    if (status == 0)
        status = to_unit_length(embeddings, error);
    if (status == 0)
        status = center_rows(s, trials, mean, embeddings, error);
    if (status == 0) {
        cosine_score(embeddings->matrix, embeddings->dim, trials, scores);
        if (s->cohort)
            *normalised = normalise(s, embeddings, &cohort, trials, scores);
        if (s->crops)
            status = add_crops(s->crops, embeddings, trials, scores, error);
    }
    mem_free(mean);
    embeddings_release(&cohort);
    return status;
}
