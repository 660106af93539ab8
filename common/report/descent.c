#include "report/descent.h"

#include <math.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "report/json_file.h"

// What the records of a round say: digests, "" where there is none.
typedef struct Trace {
    cJSON *model, *embeddings, *labels, *scores; // the records; NULL: there is none
    cJSON *scored;                               // of the embeddings that were scored
    char labels_digest[17];
    const char *model_digest; // inside the record
} Trace;

// --- records

static cJSON *load(const Round *round, const char *artefact, int *status, Error *error)
{
    char *path = mem_printf("%s/%s.json", round->folder, artefact);
    cJSON *record = NULL;
    if (*status == 0)
        *status = json_load(path, &record, error);
    mem_free(path);
    return record;
}

// The digest of the output that is called so, "" when the record does not have it.
static const char *output_digest(const cJSON *record, const char *name)
{
    const cJSON *output;
    cJSON_ArrayForEach(output, cJSON_GetObjectItemCaseSensitive(record, "outputs"))
    {
        const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(output, "path"));
        const char *digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(output, "xxh64"));
        if (path && digest && strcmp(path_name(path), name) == 0)
            return digest;
    }
    return "";
}

// The digest of the input of an option, "" when the record does not have it; its path, when wanted.
static const char *input_digest(const cJSON *record, const char *option, const char **path)
{
    const cJSON *input;
    cJSON_ArrayForEach(input, cJSON_GetObjectItemCaseSensitive(record, "inputs"))
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(input, "option"));
        const char *digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(input, "xxh64"));
        if (!name || !digest || strcmp(name, option) != 0)
            continue;
        if (path)
            *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(input, "path"));
        return digest;
    }
    return "";
}

static int read_trace(const Round *round, Trace *trace, Error *error)
{
    int status = 0;
    const char *scored = NULL;
    trace->model = load(round, "model.safetensors", &status, error);
    trace->embeddings = load(round, "embeddings.tar.zst", &status, error);
    trace->labels = load(round, "labels.tar.zst", &status, error);
    trace->scores = load(round, "scores.txt", &status, error);
    input_digest(trace->scores, "embeddings", &scored);
    trace->scored = scored ? load(round, path_name(scored), &status, error) : NULL;
    trace->model_digest = output_digest(trace->model, "model.safetensors");
    char *labels = path_join(round->folder, "labels.tar.zst");
    if (status == 0 && file_exists(labels))
        status = file_digest(labels, trace->labels_digest, error);
    mem_free(labels);
    return status;
}

static void release_trace(Trace *trace)
{
    cJSON_Delete(trace->model);
    cJSON_Delete(trace->embeddings);
    cJSON_Delete(trace->labels);
    cJSON_Delete(trace->scores);
    cJSON_Delete(trace->scored);
}

// --- parents

static int64_t find_round(const Work *work, const char *name)
{
    for (int64_t i = 0; i < work->n_rounds; i++)
        if (strcmp(work->rounds[i].name, name) == 0)
            return i;
    return -1;
}

// The round that has these labels (or this model), that of the given name before others; -1: none, or no
// digest.
static int64_t find_digest(const Work *work, const Trace *traces, const char *digest, bool of_model,
                           const char *name)
{
    int64_t found = -1;
    for (int64_t i = 0; i < work->n_rounds && digest[0]; i++) {
        const char *own = of_model ? traces[i].model_digest : traces[i].labels_digest;
        if (strcmp(own, digest) == 0 && (found < 0 || strcmp(work->rounds[i].name, name) == 0))
            found = i;
    }
    return found;
}

// From its record: the round whose model it goes on from, where that is no earlier than the round of the
// labels.
static int64_t recorded_parent(const Work *work, const Trace *traces, int64_t index)
{
    char *before = round_before(&work->rounds[index]);
    const cJSON *record = traces[index].model;
    int64_t labels = find_digest(work, traces, input_digest(record, "labels", NULL), false, before);
    int64_t model = find_digest(work, traces, input_digest(record, "init", NULL), true, before);
    mem_free(before);
    if (model == index || (model >= 0 && work->rounds[model].number > work->rounds[index].number))
        model = -1;
    if (labels == index)
        labels = -1;
    return model >= 0 && (labels < 0 || work->rounds[model].number > work->rounds[labels].number) ? model
                                                                                                  : labels;
}

static bool is_label_shard(const char *path)
{
    return path && strcmp(path_name(path), "labels.tar.zst") == 0;
}

static void set_parent(Work *work, const Trace *traces, int64_t index)
{
    Round *round = &work->rounds[index];
    char *before = round_before(round);
    int64_t named = round->number == 0 ? -1 : find_round(work, before);
    const char *path = NULL;
    round->parent = -1;
    if (round->number > 0 && !traces[index].model) {
        round->parent = named;
        if (named < 0)
            round->remark = mem_printf("nothing says what it comes from, and %s is not here", before);
    } else if (round->number > 0) {
        round->parent = recorded_parent(work, traces, index);
        input_digest(traces[index].model, "labels", &path);
        if (round->parent < 0 && named >= 0 && is_label_shard(path))
            round->remark = mem_printf("trained on other labels than %s has now", before);
        else if (round->parent < 0)
            round->remark =
                mem_printf("trained on labels of no round here%s%s", path ? ": " : "", path ? path : "");
    }
    mem_free(before);
}

// --- families

static int64_t root_of(const Work *work, int64_t index)
{
    for (int64_t steps = 0; work->rounds[index].parent >= 0 && steps < work->n_rounds; steps++)
        index = work->rounds[index].parent;
    return index;
}

// Roots that learnt from one list of labels are one family, that of the first.
static int64_t family_of(const Work *work, const Trace *traces, int64_t index)
{
    int64_t root = root_of(work, index);
    const char *labels = input_digest(traces[root].model, "labels", NULL);
    for (int64_t i = 0; i < root && labels[0]; i++)
        if (work->rounds[i].parent < 0 && strcmp(input_digest(traces[i].model, "labels", NULL), labels) == 0)
            return i;
    return root;
}

// --- what does not belong together inside a round

static bool disagree(const char *a, const char *b)
{
    return a[0] && b[0] && strcmp(a, b) != 0;
}

// True where nothing says otherwise.
static bool is_output(const cJSON *record, const char *digest)
{
    const cJSON *output, *outputs = cJSON_GetObjectItemCaseSensitive(record, "outputs");
    bool known = false;
    cJSON_ArrayForEach(output, outputs)
    {
        const char *own = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(output, "xxh64"));
        if (own && strcmp(own, digest) == 0)
            return true;
        known = known || own;
    }
    return !known || !digest[0];
}

static const char *mismatch_in(const Trace *trace)
{
    if (disagree(input_digest(trace->embeddings, "model", NULL), trace->model_digest))
        return "its embeddings are of another model than it has now";
    if (disagree(input_digest(trace->labels, "embeddings", NULL),
                 output_digest(trace->embeddings, "embeddings.tar.zst")))
        return "its clusters are of other embeddings than it has now";
    if (disagree(input_digest(trace->scored, "model", NULL), trace->model_digest) ||
        !is_output(trace->scored, input_digest(trace->scores, "embeddings", NULL)))
        return "its trials were scored with another model than it has now";
    return NULL;
}

int descent_trace(Work *work, Error *error)
{
    if (work->traced)
        return 0;
    Trace *traces = mem_zero((size_t)work->n_rounds, sizeof *traces);
    int status = 0;
    for (int64_t i = 0; i < work->n_rounds && status == 0; i++)
        status = read_trace(&work->rounds[i], &traces[i], error);
    for (int64_t i = 0; i < work->n_rounds && status == 0; i++)
        set_parent(work, traces, i);
    for (int64_t i = 0; i < work->n_rounds && status == 0; i++) {
        Round *round = &work->rounds[i];
        const char *mismatch = mismatch_in(&traces[i]);
        round->family = family_of(work, traces, i);
        round->mixed = mismatch != NULL;
        if (mismatch && !round->remark)
            round->remark = mem_strdup(mismatch);
    }
    for (int64_t i = 0; i < work->n_rounds; i++)
        release_trace(&traces[i]);
    mem_free(traces);
    work->traced = status == 0;
    return status;
}

static bool equal(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

bool descent_same_trials(const Round *a, const Round *b)
{
    const char *left = a->session ? a->session : "", *right = b->session ? b->session : "";
    return a->label_free == b->label_free && strcmp(left, right) == 0 &&
           equal(a->measures[MEASURE_TARGETS], b->measures[MEASURE_TARGETS]) &&
           equal(a->measures[MEASURE_NONTARGETS], b->measures[MEASURE_NONTARGETS]);
}
