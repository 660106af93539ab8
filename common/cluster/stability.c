#include "cluster/stability.h"

#include <stdbool.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cluster/quality.h"

static const double SHARE = 0.8;

static int64_t *draw_members(int64_t n, int64_t *n_members, Rng *rng)
{
    int64_t *order = mem_alloc((size_t)n, sizeof(int64_t)), count = (int64_t)(SHARE * (double)n), n_found = 0;
    bool *drawn = mem_zero((size_t)n, sizeof(bool));
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    rng_shuffle(rng, order, n);
    *n_members = count = count < 2 ? 2 : count;
    for (int64_t i = 0; i < count; i++)
        drawn[order[i]] = true;
    for (int64_t i = 0; i < n; i++)
        if (drawn[i])
            order[n_found++] = i;
    mem_free(drawn);
    return order;
}

static int agglomerate_part(const float *points, const double *weights, int64_t dim, Linkage linkage,
                            StabilityPart *part, Error *error)
{
    float *rows = mem_try_alloc((size_t)part->n, (size_t)dim * sizeof(float), "a part of the points", error);
    double *own = weights ? mem_alloc((size_t)part->n, sizeof(double)) : NULL;
    for (int64_t i = 0; rows && i < part->n; i++) {
        memcpy(rows + i * dim, points + part->members[i] * dim, (size_t)dim * sizeof(float));
        if (own)
            own[i] = weights[part->members[i]];
    }
    int status = rows ? agglomerate(rows, own, part->n, dim, linkage, &part->dendrogram, error) : -1;
    mem_free(own);
    mem_free(rows);
    return status;
}

int stability_begin(const float *points, const double *weights, int64_t n, int64_t dim, Linkage linkage,
                    int64_t seed, Stability *stability, Error *error)
{
    *stability = (Stability){.n_points = n};
    for (int p = 0; p < 2 * STABILITY_PAIRS; p++) {
        StabilityPart *part = &stability->parts[p];
        Rng rng = rng_stream((uint64_t)seed, "stability", (uint64_t)p, 0);
        part->members = draw_members(n, &part->n, &rng);
        int status = interrupt_requested() ? interrupt_fail(error)
                                           : agglomerate_part(points, weights, dim, linkage, part, error);
        if (status < 0) {
            stability_release(stability);
            return -1;
        }
    }
    return 0;
}

void stability_release(Stability *stability)
{
    for (int p = 0; p < 2 * STABILITY_PAIRS; p++) {
        mem_free(stability->parts[p].members);
        dendrogram_release(&stability->parts[p].dendrogram);
    }
    *stability = (Stability){0};
}

// Labels of the part's points at their places among all [n_points]; -1 elsewhere.
static int64_t *label_part(const StabilityPart *part, int64_t n_points, const int64_t *labels,
                           int64_t n_clusters)
{
    bool *there = mem_zero((size_t)n_clusters, sizeof(bool));
    int64_t n_there = 0, *own = mem_alloc((size_t)part->n, sizeof(int64_t));
    int64_t *all = mem_alloc((size_t)n_points, sizeof(int64_t));
    for (int64_t i = 0; i < part->n; i++) {
        int64_t k = labels[part->members[i]];
        n_there += !there[k];
        there[k] = true;
    }
    dendrogram_cut(&part->dendrogram, n_there, own);
    memset(all, 0xff, (size_t)n_points * sizeof(int64_t)); // -1
    for (int64_t i = 0; i < part->n; i++)
        all[part->members[i]] = own[i];
    mem_free(own);
    mem_free(there);
    return all;
}

static double compare(int64_t *a, int64_t *b, int64_t n)
{
    int64_t n_shared = 0;
    for (int64_t i = 0; i < n; i++)
        if (a[i] >= 0 && b[i] >= 0) {
            a[n_shared] = a[i];
            b[n_shared++] = b[i];
        }
    Agreement agreement;
    agreement_measure(a, b, n_shared, &agreement);
    return agreement.ari;
}

double stability_measure(const Stability *s, const int64_t *labels, int64_t n_clusters)
{
    double sum = 0;
    for (int pair = 0; pair < STABILITY_PAIRS; pair++) {
        int64_t *a = label_part(&s->parts[2 * pair], s->n_points, labels, n_clusters);
        int64_t *b = label_part(&s->parts[2 * pair + 1], s->n_points, labels, n_clusters);
        sum += compare(a, b, s->n_points);
        mem_free(a);
        mem_free(b);
    }
    return sum / STABILITY_PAIRS;
}
