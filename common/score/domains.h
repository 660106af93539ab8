// Domains: recordings of one kind, such as a telephone corpus beside one of web volunteers, or a language.
//
// The embeddings of a domain share a direction that tells nothing about speakers: within one, every pair
// looks alike; across two, every pair looks different. Taking each domain's mean away removes it, without
// labels of speakers. (On real speech in several domains that is worth more than any other change of the
// scoring: docs/results/wild.md.)
#pragma once
#include <stdint.h>
#include "base/error.h"

typedef struct Domains {
    int64_t *of;  // [n_utts] 0 .. n-1
    char **names; // [n]
    int64_t n;
} Domains;

// path: a list `utt domain` in any of the forms that cache/lists.h reads, which must name every utterance.
// NULL: the domain is the name up to its first '/' (all without one are of domain ".").
// utts [n_utts], sorted in the C locale.
int domains_load(const char *path, char *const *utts, int64_t n_utts, Domains *domains, Error *error);
void domains_release(Domains *domains); // zeroed or loaded
