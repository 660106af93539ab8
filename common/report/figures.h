// The report's figures: each writes one <figure> with a caption, or, when what it would draw is not there,
// one short paragraph that says so.
#pragma once
#include <stdio.h>
#include "base/error.h"
#include "report/work.h"

void figure_eer(FILE *out, const Work *work);
void figure_quality(FILE *out, const Work *work);
void figure_losses(FILE *out, const Work *work);
void figure_det(FILE *out, const Work *work);
void figure_sizes(FILE *out, const Work *work);
void figure_gates(FILE *out, const Work *work); // nothing where no round's training had a gate

// The last round's embeddings by their first two principal components, coloured by its clusters and, when
// truth is not NULL, a second time by its speakers.
int figure_embeddings(FILE *out, const Work *work, const LabelList *truth, Error *error);
