#include "report/labels.h"

#include <math.h>
#include <stdlib.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/label_shard.h"
#include "cluster/quality.h"

int round_labels(const Round *round, LabelList *labels, Error *error)
{
    *labels = (LabelList){0};
    char *path = path_join(round->folder, "labels.tar.zst");
    int status = file_exists(path) ? label_shard_load(path, labels, error) : 0;
    mem_free(path);
    return status;
}

static int compare_downwards(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left < right) - (left > right);
}

static void count_sizes(Round *round, const LabelList *labels)
{
    round->n_clusters = labels->n_labels;
    round->sizes = mem_zero((size_t)labels->n_labels, sizeof *round->sizes);
    cluster_sizes(labels->labels, labels->n, labels->n_labels, round->sizes);
    qsort(round->sizes, (size_t)round->n_clusters, sizeof *round->sizes, compare_downwards);
}

// Over the utterances whose speaker is known; without any of them the measures stay what they are.
static void judge(Round *round, const LabelList *labels, const LabelList *truth)
{
    int64_t *speakers = mem_alloc((size_t)labels->n, sizeof *speakers); // [n]
    Agreement found;
    labels_cover(truth, labels->utts, labels->n, speakers);
    if (agreement_measure_known(speakers, labels->labels, labels->n, &found) > 0) {
        round->measures[MEASURE_PURITY] = found.purity;
        round->measures[MEASURE_NMI] = found.nmi;
        round->measures[MEASURE_ARI] = found.ari;
        round->measures[MEASURE_V] = found.v_measure;
        round->measures[MEASURE_F1] = found.pair_f1;
    }
    mem_free(speakers);
}

int round_judge_labels(Round *round, const LabelList *truth, Error *error)
{
    LabelList labels;
    if (round_labels(round, &labels, error) != 0)
        return -1;
    if (labels.n > 0)
        count_sizes(round, &labels);
    if (labels.n > 0 && truth && isnan(round->measures[MEASURE_PURITY]))
        judge(round, &labels, truth);
    labels_release(&labels);
    return 0;
}
