// One embedding per utterance, by any model. The whole utterance is seen (or its halves, or crops of it, one
// by one), without dither or augmentation; each is computed alone on one thread, as many at once as there are
// threads, so an embedding's bytes depend on nothing but its own audio, the model and the machine's kernels:
// not on the batch, nor on the number of threads. What is done is kept in OUT.resume: a run that was killed
// or interrupted goes on there and ends in the same bytes.
#pragma once
#include "cache/embeddings.h"
#include "train/resume.h"

typedef struct ExtractionOptions {
    const char *audio, *model;
    const char *out;        // names the resume file; nothing else is written
    const char *recipe;     // decides whether a resume file fits
    int64_t batch;          // pieces that the threads share between two looks at the clock
    int64_t halves;         // 0, or both halves of at most so many utterances, evenly spaced over the list
    int64_t crops;          // 0, or the mean of the unit-length embeddings of so many crops
    int64_t crop_frames;    // their length
    double longest_seconds; // of a longer utterance the middle is used; 0: all of it
    ResumePace pace;        // its steps are batches
} ExtractionOptions;

// embeddings: the caller releases them, and calls resume_finish(options->out) when they are published.
int extract_embeddings(const ExtractionOptions *options, Embeddings *embeddings, Error *error);
