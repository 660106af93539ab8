// What fine-tuning minimises: a weighted sum of objectives, `aam=0.8,supcon=0.2`. Objectives are chosen by
// name from one table (objective.c); adding one is a file and a row.
//
// A batch has V views of C pseudo-speakers, view-major: the first C rows are one utterance of each, the next
// C another one of each, in the same order.
#pragma once
#include "losses/aam_softmax.h"
#include "losses/supcon.h"
#include "nn/scope.h"

// Begins the names of all parameters that belong to objectives and not to the encoder.
#define CLASSIFIER_PREFIX "classifier."

enum { OBJECTIVES_MAX = 4 };

typedef struct ObjectiveOptions {
    int64_t n_classes, n_views, embedding_dim;
    int n_maps; // of the encoder (models/encoder.h)
    const int64_t *map_dim;
    int64_t teacher_dim; // 0: there is no teacher
    AamSoftmax aam;      // but for its margin and gate, which change with the step and come with the batch
    SupCon contrast;     // of the contrastive objectives, but for class_aware, which is the objective's name
    int group;           // learning-rate group of the parameters
} ObjectiveOptions;

typedef struct ObjectiveBatch {
    Tensor *embeddings;    // [V * C, D]
    Tensor *const *maps;   // the encoder's, where an objective uses them
    const float *teacher;  // [V * C, teacher_dim], where an objective uses it
    const int64_t *labels; // [V * C]
    double margin;         // of AAM-softmax, now
    const LossGate *gate;  // for AAM-softmax
} ObjectiveBatch;

// What the objectives saw. Only AAM-softmax fills `aam` in.
typedef struct ObjectiveReport {
    AamReport aam;
    double loss[OBJECTIVES_MAX]; // unweighted, by place in the sum
} ObjectiveReport;

typedef struct Objective Objective;

typedef struct ObjectiveKind {
    const char *name;
    bool uses_pairs, uses_maps, uses_teacher;
    // Declares parameters in the scope CLASSIFIER_PREFIX, as "<name>...".
    Objective *(*create)(const ObjectiveOptions *options, const Scope *scope, Error *error);
    Tensor *(*loss)(Objective *objective, Tape *tape, const ObjectiveBatch *batch, ObjectiveReport *report);
} ObjectiveKind;

struct Objective { // the first member of every objective; one allocation, freed by objectives_release()
    const ObjectiveKind *kind;
    double weight;
};

typedef struct Objectives {
    Objective *items[OBJECTIVES_MAX];
    int n;
} Objectives;

// "aam, supcon, ...": the names in the table. Call it from one thread.
const char *objectives_known(void);

// What a sum asks for, before anything is made of it.
typedef struct ObjectiveNeeds {
    bool aam, pairs, maps, teacher;
} ObjectiveNeeds;

// text: NAME or NAME=WEIGHT, separated by commas; no name twice. Unknown ones are an error that lists the
// known.
int objectives_needs(const char *text, ObjectiveNeeds *needs, Error *error);
int objectives_create(const char *text, const ObjectiveOptions *options, Parameters *parameters,
                      Objectives *objectives, Error *error);
void objectives_release(Objectives *objectives);
