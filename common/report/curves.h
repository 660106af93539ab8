// Curves read from a round's files: the loss over the steps, and the detection error trade-off (DET) of its
// scores. At most CURVE_POINTS points are kept; a plot shows no more.
#pragma once
#include "base/error.h"
#include "report/work.h"

enum { CURVE_POINTS = 400 };

// From a training log's lines "step 1200 loss 3.412 grad ..."; others are skipped. A step that was run again
// after a resume counts once, with its last loss. Neighbouring steps are averaged to fit.
int curve_of_losses(const char *path, Curve *curve, Error *error);

// From lines "enrol test score label" (label: target or 1, nontarget or 0). Point (x, y): false-alarm and
// miss rate when everything at or above one score is accepted; by falling threshold. Without both kinds of
// trial the curve is empty.
int curve_of_scores(const char *path, Curve *curve, Error *error);

void curve_release(Curve *curve);
