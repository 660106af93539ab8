// Score normalisation by a cohort (S-norm, Kenny 2010; adaptive: AS-norm, Matejka et al. 2017, as wespeaker
// does it): a cosine is expressed in standard deviations above what each side of its trial scores against
// others.
//
//     score' = 1/2 ((s - mean_enrol) / deviation_enrol + (s - mean_test) / deviation_test)
#pragma once
#include <stdint.h>

#include "score/trials.h"

typedef struct CohortStatistics { // of each row's scores against the cohort
    double *mean, *deviation;     // [n]; population deviation
    int64_t n_flat, first_flat;   // rows whose scores do not vary (by 1e-6); -1: none
} CohortStatistics;

// rows [n, dim] and cohort [n_cohort, dim], all of length 1. Over the `top` largest scores of a row
// (AS-norm); 0, or more than there are: over all (S-norm). A block of rows against the cohort is in memory at
// a time. A row whose scores do not vary says nothing about a deviation: it gets the mean one of the others;
// where all are so (n_flat = n), the statistics are of no use.
CohortStatistics cohort_statistics(const float *rows, int64_t n, const float *cohort, int64_t n_cohort,
                                   int64_t dim, int64_t top);
void cohort_statistics_release(CohortStatistics *statistics);

// scores [trials->n], in place.
void score_normalise(const Trials *trials, const CohortStatistics *statistics, double *scores);

// The mean of each class's rows, itself of length 1: the label-free cohort of pseudo-speakers. labels [n]:
// 0 .. n_classes-1, none empty. Returns [n_classes, dim]; a mean that vanishes stays zero.
float *class_means(const float *rows, const int64_t *labels, int64_t n, int64_t dim, int64_t n_classes);
