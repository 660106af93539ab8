#include "report/eval_summary.h"

#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "cache/publish.h"
#include "report/json_number.h"

enum { DET_POINTS = 400 };

static void add_det(cJSON *json, const DetCurve *curve)
{
    int64_t indices[DET_POINTS], n = det_thin(curve, DET_POINTS, indices);
    cJSON *points = cJSON_AddArrayToObject(json, "det"); // [false alarm rate, miss rate]
    for (int64_t i = 0; i < n; i++) {
        double rates[2] = {curve->points[indices[i]].fpr, curve->points[indices[i]].fnr};
        cJSON_AddItemToArray(points, cJSON_CreateDoubleArray(rates, 2));
    }
}

static void add_domains(cJSON *json, const EvalSummary *result)
{
    cJSON *domains = result->n_domains > 0 ? cJSON_AddObjectToObject(json, "domains") : NULL;
    for (int64_t d = 0; d < result->n_domains; d++) {
        const DomainEer *domain = &result->domains[d];
        cJSON *item = cJSON_AddObjectToObject(domains, domain->name);
        json_add_number(item, "eer", 100 * domain->eer);
        cJSON_AddNumberToObject(item, "n_target", (double)domain->n_target);
        cJSON_AddNumberToObject(item, "n_nontarget", (double)domain->n_nontarget);
    }
}

int eval_summary_publish(const char *path, const EvalSummary *result, Error *error)
{
    cJSON *json = cJSON_CreateObject();
    json_add_number(json, "eer", result->measured ? 100 * result->eer : NAN);
    json_add_number(json, "eer_low", result->measured ? 100 * result->interval.low : NAN);
    json_add_number(json, "eer_high", result->measured ? 100 * result->interval.high : NAN);
    json_add_number(json, "min_dcf_p01", result->measured ? result->min_dcf_p01 : NAN);
    json_add_number(json, "min_dcf_p05", result->measured ? result->min_dcf_p05 : NAN);
    cJSON_AddNumberToObject(json, "n_target", (double)result->n_target);
    cJSON_AddNumberToObject(json, "n_nontarget", (double)result->n_nontarget);
    if (result->calibrated) {
        json_add_number(json, "cllr", result->cllr);
        json_add_number(json, "cllr_min", result->cllr_min);
        json_add_number(json, "actual_dcf_p01", result->actual_dcf_p01);
        json_add_number(json, "actual_dcf_p05", result->actual_dcf_p05);
        cJSON_AddBoolToObject(json, "calibrated_on_these_trials", result->calibrated_here);
    }
    if (result->has_pair_head) {
        json_add_number(json, "pair_head_eer", 100 * result->pair_eer);
        json_add_number(json, "pair_head_min_dcf_p01", result->pair_min_dcf_p01);
        json_add_number(json, "fused_eer", 100 * result->fused_eer);
        json_add_number(json, "fused_min_dcf_p01", result->fused_min_dcf_p01);
    }
    json_add_number(json, "statistics_baseline_eer", 100 * result->baseline_eer);
    cJSON_AddBoolToObject(json, "label_free", result->label_free);
    if (result->label_free)
        cJSON_AddStringToObject(json, "session", result->session);
    cJSON_AddStringToObject(json, "trial_form", result->trial_form);
    cJSON_AddStringToObject(json, "norm", result->norm);
    cJSON_AddStringToObject(json, "eer_rule", "interpolated on the ROC (wespeaker)");
    json_add_number(json, "eer_threshold", result->measured ? result->eer_threshold : NAN);
    add_domains(json, result);
    add_det(json, &result->curve);
    char *text = cJSON_Print(json);
    int status = publish_text(path, text, error);
    cJSON_free(text);
    cJSON_Delete(json);
    return status;
}

// The lines that wespeaker prints, for scripts that grep them.
void eval_summary_print(const char *scores, const EvalSummary *result)
{
    text_print_line(stdout, "---- %s -----", scores);
    if (!result->measured) {
        printf("EER = none (no trials)\n");
        return;
    }
    if (result->label_free)
        text_print_line(stdout, "%s (session: %s)", result->trial_form, result->session);
    printf("EER = %.3f\n", 100 * result->eer);
    printf("EER for other speakers (95 %% interval) = %.3f to %.3f\n", 100 * result->interval.low,
           100 * result->interval.high);
    printf("minDCF (p_target:0.01 c_miss:1 c_fa:1) = %.3f\n", result->min_dcf_p01);
    printf("minDCF (p_target:0.05 c_miss:1 c_fa:1) = %.3f\n", result->min_dcf_p05);
    if (result->calibrated)
        printf("Cllr = %.3f (at best %.3f), actDCF 0.01 = %.3f, 0.05 = %.3f%s\n", result->cllr,
               result->cllr_min, result->actual_dcf_p01, result->actual_dcf_p05,
               result->calibrated_here ? "; calibrated on these very trials" : "");
    if (result->has_pair_head)
        printf("EER of the pair head = %.3f, together with cosine = %.3f; minDCF 0.01 = %.3f, %.3f\n",
               100 * result->pair_eer, 100 * result->fused_eer, result->pair_min_dcf_p01,
               result->fused_min_dcf_p01);
    for (int64_t d = 0; d < result->n_domains; d++)
        if (isfinite(result->domains[d].eer))
            printf("EER within %s = %.3f\n", result->domains[d].name, 100 * result->domains[d].eer);
    if (isfinite(result->baseline_eer))
        printf("EER of untrained statistics (MFCC mean and deviation) = %.3f\n", 100 * result->baseline_eer);
}
