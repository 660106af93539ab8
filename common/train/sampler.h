// Which utterances make up the batch of a step. Everything is a function of (seed, step), so a resumed run
// meets the same batches.
//
// A plain sampler goes through shuffled epochs of all utterances, and a batch may reach into the next epoch:
// nobody is left out. A balanced one takes at most `most_per_class` utterances of each class per epoch, and
// puts no two of one class into a batch while another class has any left; its last batch of an epoch is
// filled up with utterances drawn from that epoch's selection.
#pragma once
#include <stdint.h>

typedef struct Sampler Sampler;

// batch_size may exceed n: utterances then repeat within a batch.
Sampler *sampler_create_plain(int64_t n, int64_t batch_size, uint64_t seed);
// labels [n]: class 0 .. n_classes-1 of each utterance, -1: leave it out. They must outlive the sampler; at
// least one is not -1.
Sampler *sampler_create_balanced(const int64_t *labels, int64_t n, int64_t n_classes, int64_t most_per_class,
                                 int64_t batch_size, uint64_t seed);
void sampler_destroy(Sampler *sampler);
double sampler_steps_per_epoch(const Sampler *sampler); // whole for a balanced one
// The step's utterances [batch_size], as numbers 0 .. n-1. Keeps the current epoch, so call it from one
// thread.
void sampler_pick(Sampler *sampler, int64_t step, int64_t *utts);
