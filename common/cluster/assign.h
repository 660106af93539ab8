// Embeddings that come later, to the clusters that are there: each goes to the nearest centroid, by the
// cosine in the space in which the clusters were made.
#pragma once
#include "cache/embeddings.h"
#include "cache/label_space.h"

// e: its rows are brought into that space, in place. nearest [e->n]: row of space->centroids; of two that are
// equally near the first. cosines [e->n]: of each with it. name: of the embeddings' file, for errors.
int assign_to_clusters(const LabelSpace *space, const char *name, Embeddings *e, int64_t *nearest,
                       float *cosines, Error *error);
