// eval.json: how well scores tell same from different speakers, and the same in the lines that wespeaker
// prints. Keys: eer, eer_low, eer_high, statistics_baseline_eer, pair_head_eer, fused_eer (percent),
// min_dcf_p01, min_dcf_p05, n_target, n_nontarget, label_free, session (of label-free trials), trial_form,
// norm, eer_rule, eer_threshold, det
// ([false alarm rate, miss rate], ...); where scores are calibrated cllr, cllr_min, actual_dcf_p01,
// actual_dcf_p05, calibrated_on_these_trials; where domains are given domains: {name: {eer, n_target,
// n_nontarget}}, of the trials inside each.
#pragma once
#include <stdbool.h>
#include "base/error.h"
#include "score/eer_interval.h"
#include "score/metrics.h"

typedef struct DomainEer { // of the trials whose two utterances are of this domain
    const char *name;
    int64_t n_target, n_nontarget;
    double eer; // NAN: one of the two is 0
} DomainEer;

typedef struct EvalSummary {
    int64_t n_target, n_nontarget;
    const char *trial_form, *norm,
        *session; // session: what the label-free trials took for one (score/session.h)
    bool label_free;
    bool measured; // false: no trials could be made
    double eer, eer_threshold, min_dcf_p01, min_dcf_p05;
    EerInterval interval;
    double baseline_eer;              // NAN: not computed
    bool calibrated, calibrated_here; // here: on these very trials
    double cllr, cllr_min, actual_dcf_p01, actual_dcf_p05;
    bool has_pair_head;
    double pair_eer, pair_min_dcf_p01;   // of the pair head
    double fused_eer, fused_min_dcf_p01; // of the pair head together with the other scores
    DomainEer *domains;                  // [n_domains]
    int64_t n_domains;
    DetCurve curve;
} EvalSummary;

int eval_summary_publish(const char *path, const EvalSummary *summary, Error *error);
void eval_summary_print(const char *scores,
                        const EvalSummary *summary); // scores: the file that the lines are about
