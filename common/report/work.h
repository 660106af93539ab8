// Room "report" (looks at base, cache, cluster and score): what a WORK folder holds, read once, and the pages
// and lines made from it.
//
// A round is a folder WORK/iterN, or WORK/iterN-VARIANT for another way to train it (iter3-lmft), with an
// eval.json or a clusters.json. Whatever else it
// lacks (logs, labels, scores) is simply not in the structure: NAN, NULL or 0. A file that is there but
// cannot be understood is an error that names it.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "cache/lists.h"

// One row of MEASURES describes each: where it is found, what it is called, how many decimals it deserves.
enum {
    MEASURE_CLUSTERS,
    MEASURE_SINGLETONS,
    MEASURE_SILHOUETTE,
    MEASURE_AGREEMENT_NMI,
    MEASURE_AGREEMENT_ARI,
    MEASURE_PURITY,
    MEASURE_NMI,
    MEASURE_ARI,
    MEASURE_V,
    MEASURE_F1,
    MEASURE_EER,
    MEASURE_EER_LOW,
    MEASURE_EER_HIGH,
    MEASURE_BASELINE,
    MEASURE_DCF01,
    MEASURE_DCF05,
    MEASURE_TARGETS,
    MEASURE_NONTARGETS,
    MEASURE_PAIR_EER,
    MEASURE_FUSED_EER,
    MEASURE_TRAINING,
    MEASURES_COUNT
};

typedef struct Measure {
    const char *file;    // of the round: "clusters.json"
    const char *key;     // in that file
    const char *group;   // heading over several columns
    const char *heading; // of its column
    const char *meaning; // a sentence for the one who rests the pointer on the heading
    int decimals;
} Measure;

extern const Measure MEASURES[MEASURES_COUNT];

typedef struct Curve {
    double *x, *y; // [n]
    int64_t n;
} Curve;

typedef struct Round {
    int64_t number;
    char *name;                      // "iter2" or "iter2-lmft"
    char *folder;                    // WORK/iter2
    double measures[MEASURES_COUNT]; // NAN: not measured
    bool label_free;                 // trials were made from the recordings themselves
    char *session;                   // what they took for one session (score/session.h); NULL: not said
    // Set by descent_trace() (report/descent.h):
    int64_t parent, family; // the round that it comes from, -1: none here; a number that its relatives share
    char *remark;           // why it stands apart, or what in it does not belong together; NULL: nothing
    bool mixed;             // the latter
    int64_t *sizes;         // [n_clusters] utterances per cluster, largest first
    int64_t n_clusters;
    Curve pretrain_loss, finetune_loss; // x: step, y: loss
    Curve det;                          // x: false alarms, y: misses, both as probabilities in (0, 1)
    Curve log_losses;                   // histogram of a gated training's last epoch; x: bins' lower edges
    double log_loss_bin, gate;          // width of a bin; where the gate stood, NAN: open
} Round;

// One line of <artefact>.json: how an artefact came to be. NAN or NULL: not written down.
typedef struct Origin {
    char *artefact; // path inside WORK: "iter1/model.safetensors"
    char *command;
    char *finished; // "2026-11-20T21:05:00Z"
    double seconds, cpu_seconds, peak_bytes;
} Origin;

typedef struct Work {
    char *folder;
    Round *rounds; // [n_rounds] by number
    int64_t n_rounds;
    bool traced;     // by descent_trace()
    Origin *origins; // [n_origins] in the order they were made
    int64_t n_origins;
} Work;

// Reads the measures of every round. Without any round: an error.
int work_open(const char *folder, Work *work, Error *error);
// Also the curves, the cluster sizes, the origins and the descent, which only the page needs; and the
// measures against the true speakers where the cluster stage did not have them (truth may be NULL).
int work_load_details(Work *work, const LabelList *truth, Error *error);
void work_release(Work *work); // zeroed or opened

// The round whose labels a round was trained on and is compared with: iter1 for iter2 and for iter1-lmft,
// iter1-gate for iter2-gate. The caller frees.
char *round_before(const Round *round);

// "0.912" in the measure's decimals, "" when it was not measured; returns text.
const char *measure_text(int measure, double value, char text[32]);
