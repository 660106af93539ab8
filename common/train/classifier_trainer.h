// An encoder trained to tell pseudo-speakers apart: AAM-softmax over class weights ("classifier.weight"),
// other objectives, or a weighted sum of them (objectives/objective.h).
//
// Two objectives may be balanced instead of weighted: at each step, the gradients that they send to the
// embeddings are joined with the shares for which the sum is shortest (losses/min_norm.h), so neither drowns
// the other and no step harms one of them. Parameters of an objective's own follow its own gradient (Sener
// and Koltun 2018, algorithm 2).
//
// With a pull weight, the encoder is held near the weights that it started from (Miara et al. 2024):
//
//     total = L / stop(L) + pull * R / stop(R),   R = sum over tensors of ||theta - theta_start||
//
// so only the directions of the two gradients and `pull` matter. R counts the tensors of learning-rate group
// 0 that were loaded, which for WavLM is all of it and not the pooling; R = 0 at the first step pulls
// nothing.
//
// The batch's group 0, one crop of each utterance, is what the objectives see; where labels are corrected,
// group 1 is the same without augmentation.
#pragma once
#include "objectives/objective.h"
#include "train/gate.h"
#include "train/optimizer.h"
#include "train/parts.h"
#include "train/schedule.h"
#include "train/train_loop.h"

typedef struct ClassifierOptions {
    const cJSON *architecture;
    const char *start_path; // weights to start from; NULL: drawn
    bool keep_classes;      // class weights, too: those of the same labels
    const char *freeze;     // comma-separated prefixes of parameter names; NULL or empty: none
    const int64_t *labels;  // [utterances of the corpus], -1 where the sampler never goes
    const char *objectives;
    ObjectiveOptions objective; // but for what the encoder decides, which is filled in
    const float *teacher;       // [utterances of the corpus, teacher_dim], where an objective uses it
    bool balance;               // needs two objectives
    MarginSchedule margin;
    OptimizerOptions optimizer;
    Schedule learning_rate;
    double encoder_rate_factor; // of group 0; pooling (where it is a group of its own) and classes have 1
    double pull, clip_norm;     // clip_norm over all gradients together; 0: none
    CropGroup crops;
    GateOptions gate;
    int64_t batch_size, n_parts; // train/parts.h; 1 where an objective looks at maps
    int64_t seed;
} ClassifierOptions;

typedef struct ClassifierTrainer ClassifierTrainer;

ClassifierTrainer *classifier_trainer_create(const ClassifierOptions *options, Error *error);
void classifier_trainer_destroy(ClassifierTrainer *trainer);
const Encoder *classifier_trainer_encoder(const ClassifierTrainer *trainer);
// Fills in the loop's trainer, step, state, crops and input form.
void classifier_trainer_attach(ClassifierTrainer *trainer, TrainLoop *loop);
const Gate *classifier_trainer_gate(const ClassifierTrainer *trainer);
int classifier_trainer_publish(const ClassifierTrainer *trainer, const char *path, const ModelInfo *info,
                               Error *error);
