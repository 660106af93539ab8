// Cluster numbers that last from round to round: a cluster takes the number of the previous cluster that it
// shares most utterances with. The largest overlaps choose first; each number is given once. Clusters that
// are left over get the smallest numbers that the previous round did not use.
#pragma once
#include <stdint.h>

// labels, previous [n]: labels in [0, n_clusters); previous the number before, or -1 for an utterance that
// was not there. used [n_used]: all numbers of the previous round. ids [n_clusters] receives the numbers.
// Returns how many clusters kept a number.
int64_t stable_label_ids(const int64_t *labels, const int64_t *previous, int64_t n, int64_t n_clusters,
                         const int64_t *used, int64_t n_used, int64_t *ids);
