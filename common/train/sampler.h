// Which utterances make up the batch of a step. Everything is a function of (seed, step), so a resumed run
// meets the same batches.
//
// A plain sampler goes through shuffled epochs of all utterances, and a batch may reach into the next epoch:
// nobody is left out. A balanced one takes at most `most_per_class` utterances of each class per epoch, and
// puts no two of one class into a batch while another class has any left; its last batch of an epoch is
// filled up with utterances drawn from that epoch's selection.
//
// A grouped one, for objectives that compare utterances, gives each batch batch_size / n_views classes, all
// of them different, with n_views utterances of each: view-major, so row v * n_classes_of_batch + c is of the
// same class for every v. In an epoch each utterance of a class comes once, in random company of its class,
// and the last group of a class is filled up from it; but no class gives more groups than the epoch has
// batches. Missing groups at the epoch's end are drawn from all.
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct Sampler Sampler;

// batch_size may exceed n: utterances then repeat within a batch.
Sampler *sampler_create_plain(int64_t n, int64_t batch_size, uint64_t seed);
// labels [n]: class 0 .. n_classes-1 of each utterance, -1: leave it out. They must outlive the sampler; at
// least one is not -1.
Sampler *sampler_create_balanced(const int64_t *labels, int64_t n, int64_t n_classes, int64_t most_per_class,
                                 int64_t batch_size, uint64_t seed);
// Every class that occurs has at least n_views utterances, and at least batch_size / n_views (a whole number)
// occur. same: the views of a group are one utterance, to be cropped n_views times.
Sampler *sampler_create_grouped(const int64_t *labels, int64_t n, int64_t n_classes, int64_t most_per_class,
                                int64_t batch_size, int64_t n_views, bool same, uint64_t seed);
void sampler_destroy(Sampler *sampler);
double sampler_steps_per_epoch(const Sampler *sampler); // whole but for a plain one
// The step's utterances [batch_size], as numbers 0 .. n-1. Keeps the current epoch, so call it from one
// thread.
void sampler_pick(Sampler *sampler, int64_t step, int64_t *utts);
