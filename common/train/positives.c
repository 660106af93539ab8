#include "train/positives.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "cluster/kmeans.h"

Positives *positives_create(int64_t n_utts, int64_t dim, Error *error)
{
    Positives *p = mem_zero(1, sizeof *p);
    size_t n = (size_t)n_utts;
    *p = (Positives){.n_utts = n_utts, .dim = dim};
    p->memory = mem_try_alloc(n, (size_t)dim * sizeof(float), "the utterances' embeddings", error);
    if (!p->memory) {
        positives_destroy(p);
        return NULL;
    }
    memset(p->memory, 0, n * (size_t)dim * sizeof(float));
    p->cluster = mem_alloc(n, sizeof(int64_t));
    for (int64_t utt = 0; utt < n_utts; utt++)
        p->cluster[utt] = -1;
    p->members = mem_alloc(n, sizeof(int64_t));
    p->start = mem_zero(n + 2, sizeof(int64_t)); // no more clusters than utterances
    return p;
}

void positives_destroy(Positives *p)
{
    if (!p)
        return;
    mem_free(p->memory);
    mem_free(p->cluster);
    mem_free(p->members);
    mem_free(p->start);
    mem_free(p);
}

void positives_record(Positives *p, const int64_t *utts, int64_t n, int64_t n_views, const float *embeddings)
{
    for (int64_t i = 0; i < n; i++) {
        float *memory = p->memory + utts[i] * p->dim;
        double squares = 0;
        for (int64_t d = 0; d < p->dim; d++) {
            double sum = 0;
            for (int64_t view = 0; view < n_views; view++)
                sum += embeddings[(view * n + i) * p->dim + d];
            memory[d] = (float)sum;
            squares += sum * sum;
        }
        for (int64_t d = 0; squares > 0 && d < p->dim; d++)
            memory[d] = (float)(memory[d] / sqrt(squares));
    }
}

static bool is_seen(const Positives *p, int64_t utt)
{
    for (int64_t d = 0; d < p->dim; d++)
        if (p->memory[utt * p->dim + d] != 0)
            return true;
    return false;
}

// Copies the rows of the utterances that were seen, and their numbers, to the front; returns how many.
static int64_t gather_seen(const Positives *p, float *rows, int64_t *utts)
{
    int64_t n = 0;
    for (int64_t utt = 0; utt < p->n_utts; utt++) {
        if (!is_seen(p, utt))
            continue;
        memcpy(rows + n * p->dim, p->memory + utt * p->dim, (size_t)p->dim * sizeof(float));
        utts[n++] = utt;
    }
    return n;
}

static void report_clusters(const Positives *p, int64_t n_clusters)
{
    int64_t n_alone = 0;
    for (int64_t utt = 0; utt < p->n_utts; utt++) {
        int64_t c = p->cluster[utt];
        n_alone += c < 0 || p->start[c + 1] - p->start[c] == 1;
    }
    log_info("positives: %lld clusters of %lld utterances; %lld have no other to be paired with",
             (long long)n_clusters, (long long)p->n_utts, (long long)n_alone);
}

int positives_cluster(Positives *p, int64_t n_clusters, int64_t seed, Error *error)
{
    float *rows = mem_try_alloc((size_t)p->n_utts, (size_t)p->dim * sizeof(float),
                                "the embeddings to be clustered", error);
    if (!rows)
        return -1;
    int64_t *utts = mem_alloc((size_t)p->n_utts, sizeof(int64_t)), n = gather_seen(p, rows, utts);
    KmeansOptions options = kmeans_defaults(n < n_clusters ? n : n_clusters);
    options.spherical = true;
    options.seed = seed;
    Kmeans found;
    int status = n > 0 ? kmeans(rows, n, p->dim, &options, &found, error) : 0;
    for (int64_t i = 0; status == 0 && i < n; i++)
        p->cluster[utts[i]] = found.labels[i];
    if (status == 0 && n > 0) {
        kmeans_release(&found);
        positives_index(p);
        report_clusters(p, options.n_centroids);
    }
    mem_free(utts);
    mem_free(rows);
    return status;
}

// Counting sort of the utterances by cluster.
void positives_index(Positives *p)
{
    memset(p->start, 0, (size_t)(p->n_utts + 2) * sizeof(int64_t));
    for (int64_t utt = 0; utt < p->n_utts; utt++)
        if (p->cluster[utt] >= 0)
            p->start[p->cluster[utt] + 2]++;
    for (int64_t c = 2; c < p->n_utts + 2; c++)
        p->start[c] += p->start[c - 1];
    for (int64_t utt = 0; utt < p->n_utts; utt++)
        if (p->cluster[utt] >= 0)
            p->members[p->start[p->cluster[utt] + 1]++] = utt;
}

int64_t positives_pick(const Positives *p, int64_t utt, Rng *rng)
{
    int64_t c = p->cluster[utt];
    if (c < 0 || p->start[c + 1] - p->start[c] < 2)
        return utt;
    const int64_t *members = p->members + p->start[c];
    int64_t n_others = p->start[c + 1] - p->start[c] - 1;
    int64_t pick = (int64_t)rng_below(rng, (uint64_t)n_others);
    return members[pick] == utt ? members[n_others] : members[pick];
}
