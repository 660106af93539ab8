// Which rounds come from each other. A folder may hold rounds of several starts, or one that was made again
// while those behind it were not; a line through both, or a mean over them, would say nothing.
//
// A round comes from the one whose labels its model was trained on, or whose model it goes on from (large
// margins). That is told by the digests in the records beside the artefacts (cache/provenance.h), not by
// names: labels that were made again with other content are no longer those that the next round learnt from.
// Rounds without a record are taken to come from the round that their name says, where it is there.
#pragma once
#include "base/error.h"
#include "report/work.h"

// Sets parent, family and remark of every round. Rounds of one family come from each other, or from the same
// list of labels that is of no round here. A record that is no JSON is an error. A second call does nothing.
int descent_trace(Work *work, Error *error);

// Whether two rounds were measured on the same kind and number of trials, so that their rates compare.
bool descent_same_trials(const Round *a, const Round *b);
