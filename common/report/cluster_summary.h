// clusters.json: what a round's clusters look like, with the evidence for their number and, where the truth
// is known, how pure they are. Keys: clusters, singletons, silhouette, agreement_nmi, agreement_ari (with the
// round before), utterances, dropped_clusters and dropped_utterances (too small), points, linkage, sizes;
// with the truth purity, nmi, ari, v_measure, pairwise_f1; with `auto` reason, sweep.
#pragma once
#include <stdint.h>
#include "base/error.h"
#include "cluster/choose_clusters.h"
#include "cluster/quality.h"

typedef struct ClusterSummary {
    int64_t n_utts, n_points, n_clusters;
    int64_t n_small, n_dropped; // clusters too small to count, and their utterances
    const int64_t *labels;      // [n_utts]
    const char *linkage;
    double silhouette, agreement_nmi, agreement_ari; // NAN: null
    int64_t n_known;                                 // utterances that the truth speaks of
    const Agreement *truth;                          // NULL: not known
    const Sweep *sweep;                              // without rows: none was made
} ClusterSummary;

// Publishes the file and logs the same in two lines.
int cluster_summary_publish(const char *path, const ClusterSummary *summary, Error *error);
