// The skeleton of a training program: open the corpus, check, plan or train, publish. A stage brings what is
// its own: what it reads beside the audio, its sampler and its trainer.
//
//     int main(int argc, char **argv)
//     {
//         Pretraining p = {.settings = defaults()};
//         Program program = {...};
//         program_begin(&program, train_options(&p.settings, own), argc, argv);
//         return training_main(&program, &p.settings, &KIND, &p);
//     }
//
// --plan N takes the same way without audio: a trainer for a few utterances is made, twice, and a step of
// each is scaled up (train/plan.h). --check goes as far as open(), without audio too.
#pragma once
#include <cjson/cJSON.h>

#include "train/settings.h"

typedef struct Training {
    const Program *program;
    const TrainSettings *settings;
    Corpus *corpus; // NULL: a plan
    int64_t n_utts; // of the corpus, or planned
    Augmenter *augmenter;
    Sampler *sampler;    // made by open()
    cJSON *architecture; // made by open()
    double steps_per_epoch;
    int64_t n_steps;
    int64_t n_parts; // of a batch (train/parts.h)
    TrainLoop loop;  // its batch size is the trainer's
} Training;

typedef struct TrainingKind {
    // Reads the stage's inputs, which a plan has not (t->corpus is NULL), and sets t->sampler and
    // t->architecture.
    int (*open)(void *stage, Training *t, Error *error);
    // Makes a trainer for t->n_steps and attaches it to t->loop; destroys the one before, if there is one.
    int (*create)(void *stage, Training *t, Error *error);
    // Publishes the model as t->loop.model_path, and files of the stage's own beside it.
    int (*publish)(void *stage, const Training *t, const ModelInfo *info, Error *error);
    void (*release)(void *stage);
} TrainingKind;

// From after program_begin() to the exit status.
int training_main(Program *program, const TrainSettings *settings, const TrainingKind *kind, void *stage);

// t->architecture: that of the weights `init`, which bring theirs, or the one that the options name.
int training_architecture(Training *t, const char *init, Error *error);
