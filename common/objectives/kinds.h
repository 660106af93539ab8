// The rows of the table of objectives, each in its own file.
#pragma once
#include "objectives/objective.h"

extern const ObjectiveKind aam_objective; // aam.c: AAM-softmax over the pseudo-speakers
