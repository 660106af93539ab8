// Which class each utterance of a corpus is trained as.
#pragma once
#include "base/error.h"
#include "cache/corpus.h"
#include "train/sampler.h"

typedef struct Labelling {
    int64_t *labels; // [n_utts] 0 .. n_classes-1, every one of which occurs; -1: none
    int64_t n_utts, n_classes;
} Labelling;

// From a label shard or an utt2spk list; classes are numbered by first appearance in the corpus. An error
// where the corpus gets fewer than two; labels of other utterances are counted and said.
int labelling_load(const char *path, const Corpus *corpus, Labelling *labelling, Error *error);
// Utterances in turn from the classes, to plan with.
Labelling labelling_plan(int64_t n_utts, int64_t n_classes);
void labelling_release(Labelling *labelling);

// Objectives that compare utterances need `least` of each class; the others go, and are counted. An error
// where fewer than n_together, as many as a batch takes, stay.
int labelling_drop_small(Labelling *labelling, int64_t least, int64_t n_together, Error *error);
// How an epoch is drawn from the classes (train/sampler.h).
typedef struct LabelSampling {
    int64_t most_per_class; // utterances of one class in an epoch
    bool same_recording;    // the views of a class are crops of one recording
} LabelSampling;

// A sampler with n_views utterances of each class in a batch: a balanced one for one view, else a grouped
// one, for which classes that are too small are dropped first. batch_size is a multiple of n_views. The
// labels must outlive it.
Sampler *labelling_sampler(Labelling *labelling, const LabelSampling *sampling, int64_t n_views,
                           int64_t batch_size, uint64_t seed, Error *error);
// A class at another speed is one more (train/batches.h): BATCH_SPEEDS times the utterances and classes.
void labelling_add_speeds(Labelling *labelling);
