// The DINO loss (Caron et al. 2021, algorithm 1): the student's prediction from every crop is to match the
// teacher's from every other long crop.
//
//     p[j] = softmax((teacher[j] - centre) / teacher_temperature)
//     loss = mean over pairs (teacher view j, student view i != j) and samples of -sum_k p[j] log q[i],
//     q[i] = softmax(student[i] / student_temperature)
//
// Rows are view-major: all samples of view 0, then all of view 1, and so on; the teacher's views are the
// student's first ones. The centre keeps the teacher from choosing one prototype for everything: after the
// loss, dino_center_update() moves it towards the mean of the teacher's raw rows.
//
// Collapse shows in the report: teacher_entropy near ln K (everything uniform) or near 0 with teacher_std
// near 0 (one prototype for all).
#pragma once
#include "tensor/tape.h"

typedef struct DinoLoss {
    int64_t n_teacher_views, n_student_views;
    double student_temperature, teacher_temperature;
} DinoLoss;

typedef struct DinoReport {
    double teacher_entropy; // mean over rows of -sum p ln p, in nats
    double teacher_std;     // mean over prototypes of p's standard deviation over the rows (divisor rows - 1)
} DinoReport;

// student [n_student_views * B, K], teacher [n_teacher_views * B, K] (no gradient), center [K] -> the mean
// loss, one element. No [pairs, B, K] array is made; besides the inputs it takes one copy of the teacher's
// rows. report may be NULL.
Tensor *dino_loss(Tape *tape, Tensor *student, const Tensor *teacher, const float *center,
                  const DinoLoss *options, DinoReport *report);

// center = momentum * center + (1 - momentum) * mean over rows of teacher [rows, K]
void dino_center_update(float *center, const Tensor *teacher, double momentum);
