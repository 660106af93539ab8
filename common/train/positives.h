// Positives from other recordings: self-supervised positive sampling (SSPS, Lepage and Dehak 2025; sslsv's
// k-means form with the anchor's own cluster). Crops of one recording share its channel and room, and a
// network learns to recognise those; crops of two recordings of one voice share the voice alone.
//
//     positives_record(p, utts, n, n_views, embeddings);       // the teacher's, as utterances are seen
//     positives_cluster(p, n_clusters, seed, &error);          // k-means over what was seen so far
//     positives_pick(p, utt, &rng);                            // another utterance of utt's cluster
//
// `memory` and `cluster` are the whole state: restore both, then call positives_index().
#pragma once
#include "base/error.h"
#include "base/rng.h"

typedef struct Positives {
    int64_t n_utts, dim;
    float *memory;    // [n_utts, dim] the last embedding, of length 1; zeros: not seen yet
    int64_t *cluster; // [n_utts]; -1: none
    // Utterances by cluster, made from `cluster`: members[start[c]] .. members[start[c + 1] - 1].
    int64_t *members, *start;
} Positives;

// NULL with a sentence when memory is short. No utterance is in a cluster.
Positives *positives_create(int64_t n_utts, int64_t dim, Error *error);
void positives_destroy(Positives *positives); // NULL is fine
// embeddings [n_views * n, dim], view-major: utts[i]'s memory becomes the direction of the mean over views.
void positives_record(Positives *positives, const int64_t *utts, int64_t n, int64_t n_views,
                      const float *embeddings);
// Fewer clusters than n_clusters when fewer utterances were seen; those not seen are in none.
int positives_cluster(Positives *positives, int64_t n_clusters, int64_t seed, Error *error);
void positives_index(Positives *positives);
// Any other utterance of utt's cluster, equally likely; utt itself when it is alone or in none.
int64_t positives_pick(const Positives *positives, int64_t utt, Rng *rng);
