// Self-distillation without labels (Caron et al. 2021; for speakers: sslsv, wespeaker): the student sees all
// crops, the teacher (moving average of the student) the long ones; losses/dino.h joins them.
//
// The batch's group 0 are the long crops, group 1 the short ones. Teacher and student run with batch
// statistics; the running ones of the published teacher come from its own passes.
#pragma once
#include "losses/dino.h"
#include "models/dino_head.h"
#include "train/optimizer.h"
#include "train/parts.h"
#include "train/positives.h"
#include "train/schedule.h"
#include "train/train_loop.h"

typedef struct DinoOptions {
    const cJSON *architecture;
    DinoHeadConfig head; // input_dim comes from the encoder
    OptimizerOptions optimizer;
    Schedule learning_rate, momentum, teacher_temperature;
    double student_temperature, center_momentum;
    double clip_norm; // per tensor; 0: none
    // Of the student's embeddings (losses/regularizers.h), added to the loss; 0: none
    double variance_weight, covariance_weight, koleo_weight;
    int64_t last_layer_frozen; // steps at the start
    // From step ssps_first on, the long crops (teacher's and student's) come from positives
    // (train/positives.h), the short ones from the anchor: teacher and student meet in two recordings.
    // Clusters are made anew every ssps_every steps; 0: never, and all crops are of one recording.
    int64_t ssps_first, ssps_every, ssps_clusters, n_utts;
    CropGroup groups[2];         // long, short; as the batches have them
    int64_t batch_size, n_parts; // train/parts.h
    int64_t seed;
} DinoOptions;

typedef struct DinoTrainer DinoTrainer;

DinoTrainer *dino_trainer_create(const DinoOptions *options, Error *error);
void dino_trainer_destroy(DinoTrainer *trainer);
const Encoder *dino_trainer_encoder(const DinoTrainer *trainer);
// Fills in the loop's trainer, step, state, crops and input form.
void dino_trainer_attach(DinoTrainer *trainer, TrainLoop *loop);
int dino_trainer_publish(const DinoTrainer *trainer, const char *path, const ModelInfo *info, Error *error);
