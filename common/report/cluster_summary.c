#include "report/cluster_summary.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "cache/publish.h"
#include "report/json_number.h"

static void add_sweep(cJSON *json, const Sweep *sweep)
{
    if (sweep->n_rows == 0)
        return;
    cJSON_AddStringToObject(json, "reason", sweep->reason);
    cJSON *rows = cJSON_AddArrayToObject(json, "sweep");
    for (int64_t i = 0; i < sweep->n_rows; i++) {
        const SweepRow *row = &sweep->rows[i];
        cJSON *item = cJSON_CreateObject();
        json_add_number(item, "clusters", (double)row->n_clusters);
        json_add_number(item, "silhouette", row->silhouette);
        json_add_number(item, "singletons", (double)row->singletons);
        json_add_number(item, "smallest", (double)row->smallest);
        json_add_number(item, "median", (double)row->median);
        json_add_number(item, "largest", (double)row->largest);
        json_add_number(item, "height", row->height);
        json_add_number(item, "gap", row->gap);
        json_add_number(item, "agreement_across_parts", row->agreement);
        cJSON_AddBoolToObject(item, "chosen", row->chosen);
        cJSON_AddItemToArray(rows, item);
    }
}

static int compare_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// "sizes": [[utterances in a cluster, clusters of this size], ...]. sizes is sorted on return.
static void add_histogram(cJSON *json, int64_t *sizes, int64_t n)
{
    cJSON *histogram = cJSON_AddArrayToObject(json, "sizes");
    qsort(sizes, (size_t)n, sizeof(int64_t), compare_int64);
    for (int64_t start = 0, end; start < n; start = end) {
        for (end = start; end < n && sizes[end] == sizes[start];)
            end++;
        double pair[2] = {(double)sizes[start], (double)(end - start)};
        cJSON_AddItemToArray(histogram, cJSON_CreateDoubleArray(pair, 2));
    }
}

static void add_truth(cJSON *json, const Agreement *truth)
{
    json_add_number(json, "purity", truth->purity);
    json_add_number(json, "nmi", truth->nmi);
    json_add_number(json, "ari", truth->ari);
    json_add_number(json, "v_measure", truth->v_measure);
    json_add_number(json, "pairwise_f1", truth->pair_f1);
    log_info("truth: purity %.4f, NMI %.4f, ARI %.4f, V-measure %.4f, pairwise F1 %.4f", truth->purity,
             truth->nmi, truth->ari, truth->v_measure, truth->pair_f1);
}

int cluster_summary_publish(const char *path, const ClusterSummary *summary, Error *error)
{
    int64_t n_clusters = summary->n_clusters, *sizes = mem_alloc((size_t)n_clusters, sizeof(int64_t));
    cluster_sizes(summary->labels, summary->n_utts, n_clusters, sizes);
    int64_t singletons = count_singletons(sizes, n_clusters);
    cJSON *json = cJSON_CreateObject();
    json_add_number(json, "clusters", (double)n_clusters);
    json_add_number(json, "singletons", (double)singletons);
    json_add_number(json, "silhouette", summary->silhouette);
    json_add_number(json, "agreement_nmi", summary->agreement_nmi);
    json_add_number(json, "agreement_ari", summary->agreement_ari);
    json_add_number(json, "utterances", (double)summary->n_utts);
    json_add_number(json, "dropped_clusters", (double)summary->n_small);
    json_add_number(json, "dropped_utterances", (double)summary->n_dropped);
    json_add_number(json, "points", (double)summary->n_points);
    cJSON_AddStringToObject(json, "linkage", summary->linkage);
    if (summary->truth)
        add_truth(json, summary->truth);
    if (summary->truth && summary->n_known < summary->n_utts)
        json_add_number(json, "truth_utterances", (double)summary->n_known);
    add_sweep(json, summary->sweep);
    add_histogram(json, sizes, n_clusters);
    log_info("clusters: %lld, sizes %lld to %lld (median %lld), %lld singletons, silhouette %.4f (cosine)",
             (long long)n_clusters, (long long)sizes[0], (long long)sizes[n_clusters - 1],
             (long long)sizes[n_clusters / 2], (long long)singletons, summary->silhouette);
    char *text = cJSON_Print(json);
    int status = publish_text(path, text, error);
    cJSON_free(text);
    cJSON_Delete(json);
    mem_free(sizes);
    return status;
}
