#include "report/work.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/lists.h"
#include "report/curves.h"
#include "report/descent.h"
#include "report/json_file.h"
#include "report/labels.h"

#define QUALITY   "clusters.json"
#define EVAL      "eval.json"
#define TRAINING  "model.safetensors.json"
#define CLUSTERS  "Clusters"
#define AGREEMENT "Round before"
#define TRUTH     "True speakers"
#define TRIALS    "Verification trials"

const Measure MEASURES[MEASURES_COUNT] = {
    [MEASURE_CLUSTERS] = {QUALITY, "clusters", CLUSTERS, "number", "How many pseudo-speakers there are.", 0},
    [MEASURE_SINGLETONS] = {QUALITY, "singletons", CLUSTERS, "singletons", "Clusters of one utterance.", 0},
    [MEASURE_SILHOUETTE] = {QUALITY, "silhouette", CLUSTERS, "silhouette",
                            "How much nearer utterances are to their own cluster than to the next, -1 to 1; "
                            "needs no truth.",
                            3},
    [MEASURE_AGREEMENT_NMI] = {QUALITY, "agreement_nmi", AGREEMENT, "NMI",
                               "Normalised mutual information of this round's labels and the last round's.",
                               3},
    [MEASURE_AGREEMENT_ARI] = {QUALITY, "agreement_ari", AGREEMENT, "ARI",
                               "Adjusted Rand index of this round's labels and the last round's.", 3},
    [MEASURE_PURITY] = {QUALITY, "purity", TRUTH, "purity",
                        "Share of utterances that belong to their cluster's most frequent speaker.", 3},
    [MEASURE_NMI] = {QUALITY, "nmi", TRUTH, "NMI", "Normalised mutual information with the speakers.", 3},
    [MEASURE_ARI] = {QUALITY, "ari", TRUTH, "ARI", "Adjusted Rand index with the speakers.", 3},
    [MEASURE_V] = {QUALITY, "v_measure", TRUTH, "V", "Harmonic mean of homogeneity and completeness.", 3},
    [MEASURE_F1] = {QUALITY, "pairwise_f1", TRUTH, "pair F1",
                    "F1 of the decision that two utterances share a speaker.", 3},
    [MEASURE_EER] = {EVAL, "eer", TRIALS, "EER (%)", "Equal error rate of this round's embeddings.", 2},
    [MEASURE_EER_LOW] = {EVAL, "eer_low", TRIALS, "from",
                         "With other speakers the EER would be above this; 95 % interval.", 2},
    [MEASURE_EER_HIGH] = {EVAL, "eer_high", TRIALS, "to",
                          "With other speakers the EER would be below this; 95 % interval.", 2},
    [MEASURE_BASELINE] = {EVAL, "statistics_baseline_eer", TRIALS, "baseline (%)",
                          "EER of untrained feature statistics on the same trials.", 2},
    [MEASURE_DCF01] = {EVAL, "min_dcf_p01", TRIALS, "minDCF 0.01",
                       "Least detection cost at a target prior of 0.01.", 3},
    [MEASURE_DCF05] = {EVAL, "min_dcf_p05", TRIALS, "minDCF 0.05",
                       "Least detection cost at a target prior of 0.05.", 3},
    [MEASURE_TARGETS] = {EVAL, "n_target", TRIALS, "same", "Trials of one speaker.", 0},
    [MEASURE_NONTARGETS] = {EVAL, "n_nontarget", TRIALS, "different", "Trials of two speakers.", 0},
    [MEASURE_PAIR_EER] = {EVAL, "pair_head_eer", TRIALS, "pair head (%)",
                          "EER of the pair head's scores alone.", 2},
    [MEASURE_FUSED_EER] = {EVAL, "fused_eer", TRIALS, "with it (%)",
                           "EER of the pair head's scores and the cosines together.", 2},
    [MEASURE_TRAINING] = {TRAINING, "wall_seconds", "training", "seconds",
                          "Wall time of the round's training.", 0},
};

const char *measure_text(int measure, double value, char text[32])
{
    text[0] = '\0';
    if (isfinite(value))
        snprintf(text, 32, "%.*f", MEASURES[measure].decimals, value);
    return text;
}

// --- rounds

static void take_trials(Round *round, const cJSON *json)
{
    const char *session = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "session"));
    round->label_free = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "label_free"));
    round->session = session ? mem_strdup(session) : NULL;
}

static int round_read_measures(Round *round, const char *file, Error *error)
{
    char *path = path_join(round->folder, file);
    cJSON *json;
    int status = json_load(path, &json, error);
    for (int i = 0; i < MEASURES_COUNT && json; i++) {
        if (strcmp(MEASURES[i].file, file) == 0)
            round->measures[i] = json_number(json, MEASURES[i].key);
    }
    if (json && strcmp(file, EVAL) == 0)
        take_trials(round, json);
    cJSON_Delete(json);
    mem_free(path);
    return status;
}

static bool has_file(const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    bool there = file_exists(path);
    mem_free(path);
    return there;
}

// The N of "iterN" or "iterN-VARIANT"; -1 for other names.
static int64_t round_number(const char *name)
{
    if (strncmp(name, "iter", 4) != 0)
        return -1;
    const char *digits = name + 4;
    size_t n = strspn(digits, "0123456789");
    if (n < 1 || n > 9 || (digits[0] == '0' && n > 1) || (digits[n] && digits[n] != '-'))
        return -1;
    return strtoll(digits, NULL, 10);
}

char *round_before(const Round *round)
{
    static const char tuned[] = "-lmft";
    const char *variant = strchr(round->name, '-');
    size_t length = strlen(round->name), n = strlen(tuned);
    if (length > n && strcmp(round->name + length - n, tuned) == 0)
        return mem_printf("%.*s", (int)(length - n), round->name);
    return mem_printf("iter%lld%s", (long long)round->number - 1,
                      variant && round->number > 1 ? variant : "");
}

static void work_add_round(Work *work, const char *name)
{
    char *folder = path_join(work->folder, name);
    if (!has_file(folder, QUALITY) && !has_file(folder, EVAL)) {
        mem_free(folder);
        return;
    }
    work->rounds = mem_grow(work->rounds, (size_t)work->n_rounds + 1, sizeof *work->rounds);
    Round *round = &work->rounds[work->n_rounds++];
    *round = (Round){.name = mem_strdup(name), .folder = folder, .gate = NAN};
    round->number = round_number(name);
    for (int i = 0; i < MEASURES_COUNT; i++)
        round->measures[i] = NAN;
}

static int compare_rounds(const void *a, const void *b)
{
    const Round *left = a, *right = b;
    if (left->number != right->number)
        return left->number > right->number ? 1 : -1;
    return strcmp(left->name, right->name);
}

int work_open(const char *folder, Work *work, Error *error)
{
    *work = (Work){.folder = mem_strdup(folder)};
    DIR *dir = opendir(folder);
    if (!dir)
        return error_set_errno(error, "cannot open the folder %s", folder);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (round_number(entry->d_name) >= 0)
            work_add_round(work, entry->d_name);
    closedir(dir);
    if (work->n_rounds == 0)
        return error_set(error,
                         "%s holds no finished round (no iterN with clusters.json or eval.json); "
                         "run `make -f Makefile.pipeline iter0 WORK=%s` first",
                         folder, folder);
    qsort(work->rounds, (size_t)work->n_rounds, sizeof *work->rounds, compare_rounds);
    for (int64_t i = 0; i < work->n_rounds; i++) {
        if (round_read_measures(&work->rounds[i], QUALITY, error) != 0 ||
            round_read_measures(&work->rounds[i], EVAL, error) != 0 ||
            round_read_measures(&work->rounds[i], TRAINING, error) != 0)
            return -1;
    }
    return 0;
}

// --- origins

static double origin_number(const cJSON *json, const char *key)
{
    double value = json_number(json, key);
    return value >= 0 ? value : NAN;
}

// The words of a command line, with quotes where a shell would need them.
static char *join_command(const cJSON *words)
{
    char *text = mem_strdup("");
    const cJSON *word;
    cJSON_ArrayForEach(word, words)
    {
        const char *plain = cJSON_IsString(word) ? word->valuestring : "";
        bool quoted = *plain == '\0' || strpbrk(plain, " \t\n\"'\\$&|;<>()*?#`");
        char *longer =
            mem_printf(quoted ? "%s%s\"%s\"" : "%s%s%s", text, word == words->child ? "" : " ", plain);
        mem_free(text);
        text = longer;
    }
    return text;
}

// Adds <folder>/<name> when it is a provenance file, that is, when it has a command.
static int work_add_origin(Work *work, const char *folder, const char *name, Error *error)
{
    char *path = mem_printf("%s/%s/%s", work->folder, folder, name);
    cJSON *json;
    int status = json_load(path, &json, error);
    const cJSON *command = json ? cJSON_GetObjectItemCaseSensitive(json, "command") : NULL;
    const cJSON *finished = json ? cJSON_GetObjectItemCaseSensitive(json, "finished") : NULL;
    if (cJSON_IsArray(command)) {
        work->origins = mem_grow(work->origins, (size_t)work->n_origins + 1, sizeof *work->origins);
        work->origins[work->n_origins++] = (Origin){
            .artefact = mem_printf("%s/%.*s", folder, (int)(strlen(name) - strlen(".json")), name),
            .command = join_command(command),
            .finished = mem_strdup(cJSON_IsString(finished) ? finished->valuestring : ""),
            .seconds = origin_number(json, "wall_seconds"),
            .cpu_seconds = origin_number(json, "cpu_seconds"),
            .peak_bytes = origin_number(json, "peak_bytes"),
        };
    }
    cJSON_Delete(json);
    mem_free(path);
    return status;
}

static int is_json(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

static int compare_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

// A folder that is not there adds nothing.
static int work_add_origins(Work *work, const char *folder, Error *error)
{
    char *path = path_join(work->folder, folder);
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_json, compare_bytes), status = 0;
    for (int i = 0; i < n; i++) {
        if (status == 0)
            status = work_add_origin(work, folder, entries[i]->d_name, error);
        free(entries[i]);
    }
    free(entries);
    mem_free(path);
    return status;
}

static int compare_origins(const void *a, const void *b)
{
    const Origin *left = a, *right = b;
    int by_time = strcmp(left->finished, right->finished);
    return by_time ? by_time : strcmp(left->artefact, right->artefact);
}

// --- details

static int round_read_curve(const Round *round, const char *file,
                            int (*read)(const char *path, Curve *curve, Error *error), Curve *curve,
                            Error *error)
{
    char *path = path_join(round->folder, file);
    int status = file_exists(path) ? read(path, curve, error) : 0;
    mem_free(path);
    return status;
}

// gate.json: the histogram of the last epoch's log losses.
static int round_read_gate(Round *round, Error *error)
{
    char *path = path_join(round->folder, "gate.json");
    cJSON *json;
    int status = json_load(path, &json, error);
    const cJSON *histogram = json ? cJSON_GetObjectItemCaseSensitive(json, "log_losses") : NULL;
    const cJSON *counts = cJSON_GetObjectItemCaseSensitive(histogram, "counts"), *count;
    double low = json_number(histogram, "low"), high = json_number(histogram, "high");
    int64_t n = cJSON_GetArraySize(counts), i = 0;
    mem_free(path);
    if (status == 0 && n > 0 && high > low) {
        round->gate = json_number(json, "threshold");
        round->log_loss_bin = (high - low) / (double)n;
        round->log_losses =
            (Curve){mem_alloc((size_t)n, sizeof(double)), mem_alloc((size_t)n, sizeof(double)), n};
        cJSON_ArrayForEach(count, counts)
        {
            round->log_losses.x[i] = low + round->log_loss_bin * (double)i;
            round->log_losses.y[i++] = count->valuedouble;
        }
    }
    cJSON_Delete(json);
    return status;
}

static int round_load_details(Round *round, const LabelList *truth, Error *error)
{
    if (round_read_curve(round, "pretrain.log", curve_of_losses, &round->pretrain_loss, error) != 0 ||
        round_read_curve(round, "finetune.log", curve_of_losses, &round->finetune_loss, error) != 0 ||
        round_read_curve(round, "scores.txt", curve_of_scores, &round->det, error) != 0 ||
        round_read_gate(round, error) != 0)
        return -1;
    return round_judge_labels(round, truth, error);
}

int work_load_details(Work *work, const LabelList *truth, Error *error)
{
    static const char *const CORPORA[] = {"demo", "audio", "test"};
    if (descent_trace(work, error) != 0)
        return -1;
    for (size_t i = 0; i < sizeof CORPORA / sizeof CORPORA[0]; i++) {
        if (work_add_origins(work, CORPORA[i], error) != 0)
            return -1;
    }
    for (int64_t i = 0; i < work->n_rounds; i++) {
        if (work_add_origins(work, work->rounds[i].name, error) != 0 ||
            round_load_details(&work->rounds[i], truth, error) != 0)
            return -1;
    }
    if (work->n_origins > 0)
        qsort(work->origins, (size_t)work->n_origins, sizeof *work->origins, compare_origins);
    return 0;
}

void work_release(Work *work)
{
    for (int64_t i = 0; i < work->n_rounds; i++) {
        Round *round = &work->rounds[i];
        curve_release(&round->pretrain_loss);
        curve_release(&round->finetune_loss);
        curve_release(&round->det);
        curve_release(&round->log_losses);
        mem_free(round->sizes);
        mem_free(round->session);
        mem_free(round->remark);
        mem_free(round->folder);
        mem_free(round->name);
    }
    for (int64_t i = 0; i < work->n_origins; i++) {
        mem_free(work->origins[i].artefact);
        mem_free(work->origins[i].command);
        mem_free(work->origins[i].finished);
    }
    mem_free(work->rounds);
    mem_free(work->origins);
    mem_free(work->folder);
    *work = (Work){0};
}
