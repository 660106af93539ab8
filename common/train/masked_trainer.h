// Masked prediction with mixing (HuBERT, Hsu et al. 2021; WavLM, Chen et al. 2021): spans of the encoder's
// frames are replaced by a learnt vector, and from what is left the encoder predicts which of K clusters each
// hidden frame's clean sound belongs to:
//
//     loss = mean over masked frames of cross-entropy( cos(W h_t, e_k) / 0.1, cluster of frame t )
//
// with h the encoder's output, W ("classifier.final_proj") and the K vectors e ("classifier.label_embs") the
// objective's own. Clusters are k-means of log-mel frames, or of a layer of an encoder that has been through
// this before; their centroids are made from a sample of the corpus before the first step and stay.
//
// The batch's group 0 are the crops as the encoder hears them, group 1 the same without augmentation and
// mixing. Only the encoder `wavlm` can be trained; its pooling stays as it is drawn.
#pragma once
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/train_loop.h"

typedef struct MaskedOptions {
    const cJSON *architecture;
    const char *start_path; // weights to start from; NULL: drawn
    int64_t n_clusters;
    const char *target_path; // an encoder whose layer gives the targets; NULL: log-mel frames
    int64_t target_layer;    // 0: the transformer's input, l: block l's output
    double mask_share;       // of the frames, at least
    int64_t mask_length;     // frames of a span
    OptimizerOptions optimizer;
    Schedule learning_rate;
    double clip_norm;
    CropGroup crops;
    int64_t batch_size, seed;
} MaskedOptions;

typedef struct MaskedTrainer MaskedTrainer;

MaskedTrainer *masked_trainer_create(const MaskedOptions *options, Error *error);
void masked_trainer_destroy(MaskedTrainer *trainer);
const Encoder *masked_trainer_encoder(const MaskedTrainer *trainer);
// Fills in the loop's trainer, begin, step, state, crops and input form.
void masked_trainer_attach(MaskedTrainer *trainer, TrainLoop *loop);
int masked_trainer_publish(const MaskedTrainer *trainer, const char *path, const ModelInfo *info,
                           Error *error);

// For tests: mask [n_frames] with spans of `length` frames at random places (they may overlap) until at least
// the share is masked; returns how many frames are.
int64_t draw_mask(Rng *rng, int64_t n_frames, double share, int64_t length, bool *mask);
