// Batches of random crops from a corpus, made ahead by loader threads while the model computes.
//
//     Batches *batches = batches_create(&options);
//     while ((status = batches_next(batches, &batch, &error)) > 0)
//         ... batch->inputs[0] ...                  // valid until the next call
//     batches_destroy(batches);
//
// Everything random comes from streams (seed, consumer, step, item), so a batch depends on its step alone,
// not on threads or timing. An utterance shorter than the crop is repeated from its start. Filter banks get
// dither and lose their crop's mean; waveforms are as read (after augmentation).
//
// Numbers beyond the corpus's n are its recordings at other speeds: n + i is recording i at 0.9 times its
// speed, 2n + i at 1.1 times.
#pragma once
#include "audio/augment.h"
#include "base/error.h"
#include "cache/corpus.h"
#include "models/encoder.h"
#include "train/positives.h"
#include "train/sampler.h"

enum { BATCH_MAX_GROUPS = 2, BATCH_SPEEDS = 3 };

typedef struct CropGroup { // crops of one length; n_views of each utterance
    int64_t n_views, n_frames;
    bool clean; // the same stretches as the first group's, without augmentation
} CropGroup;

typedef struct BatchOptions {
    const Corpus *corpus;
    Sampler *sampler; // over the corpus's indices, or BATCH_SPEEDS times as many; used under a lock
    uint64_t seed;
    EncoderInput input;
    const Augmenter *augmenter; // NULL: none
    const Positives *positives; // where the first group's crops come from; NULL: from the same recordings
    double degrade;             // share of crops, augmented or not
    double spec_augment;        // share of crops; filter banks only
    double mix;                 // share of crops with another utterance over a part of them (audio/mix.h)
    int64_t batch_size;
    CropGroup groups[BATCH_MAX_GROUPS];
    int n_groups;
    int64_t n_loaders;            // threads, at least 1
    int64_t first_step, end_step; // steps first_step .. end_step - 1
} BatchOptions;

typedef struct Batch {
    int64_t step;
    int64_t *utts;      // [batch_size] the sampler's numbers
    int64_t *positives; // [batch_size] those of the first group's crops
    // Group g, view-major: [n_views * batch_size] rows of crop_shape(), as the front end makes them.
    float *inputs[BATCH_MAX_GROUPS];
} Batch;

typedef struct Batches Batches;

Batches *batches_create(const BatchOptions *options);
void batches_destroy(Batches *batches); // stops the loaders; NULL is fine
// 1 and the next step's batch; 0 behind the last; -1 when a recording could not be read or a loader could not
// be started.
int batches_next(Batches *batches, const Batch **batch, Error *error);
double batches_waited_seconds(const Batches *batches); // in batches_next(), so far
int64_t crop_samples(const CropGroup *group);          // of one crop
InputShape crop_shape(EncoderInput input, const CropGroup *group);

int64_t batch_recording(const Corpus *corpus, int64_t utt); // index into the corpus of the sampler's number

// A source of babble: stretches of other utterances of the corpus (context: const Corpus *).
int corpus_babble(void *corpus, Rng *rng, float *samples, int64_t n, Error *error);
