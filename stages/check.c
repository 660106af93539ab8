// voxloop-check: what a run has been given, looked at before hours are spent: lists against the prepared
// audio, weights, recordings of noise and rooms. Nothing that it passes is certain to be good, but what would
// stop a later stage stops here.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "audio/augment.h"
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/corpus.h"
#include "cache/lists.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/publish.h"
#include "cache/up_to_date.h"
#include "models/encoder.h"
#include "report/json_number.h"
#include "score/trials.h"
#include "train/checkpoint.h"

typedef struct Settings {
    const char *audio, *test, *trials, *truth, *weights, *noise, *rir, *out;
} Settings;

// ---- lists

typedef struct Rejects {
    char **utts, **reasons; // [n]
    int64_t n;
} Rejects;

static void rejects_release(Rejects *rejects)
{
    strings_free(rejects->utts, rejects->n);
    strings_free(rejects->reasons, rejects->n);
}

// Of a prepared folder: path and reason, a tab between them, behind a header.
static int rejects_load(const char *folder, Rejects *rejects, Error *error)
{
    char *path = path_join(folder, "rejects.tsv"), **lines = NULL;
    int64_t n = 0;
    int status = file_exists(path) ? own_lines_load(path, &lines, &n, error) : 0;
    rejects->utts = mem_zero((size_t)n + 1, sizeof(char *));
    rejects->reasons = mem_zero((size_t)n + 1, sizeof(char *));
    for (int64_t i = 1; i < n; i++) {
        char *tab = strchr(lines[i], '\t');
        if (!tab)
            continue;
        *tab = '\0';
        rejects->utts[rejects->n] = mem_strdup(lines[i]);
        rejects->reasons[rejects->n++] = mem_strdup(tab + 1);
    }
    strings_free(lines, n);
    mem_free(path);
    return status;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *reason_of(const Rejects *rejects, const char *utt)
{
    for (int64_t i = 0; i < rejects->n; i++)
        if (strcmp(rejects->utts[i], utt) == 0)
            return rejects->reasons[i];
    return NULL;
}

// The first utterance of a trial that prepare has refused, if there is one.
static const char *find_refused(const Trials *trials, char *const *utts, const Corpus *corpus)
{
    for (int64_t t = 0; t < trials->n; t++) {
        const char *enroll = utts[trials->trials[t].enroll], *test = utts[trials->trials[t].test];
        if (corpus_find(corpus, enroll) < 0)
            return enroll;
        if (corpus_find(corpus, test) < 0)
            return test;
    }
    return NULL;
}

// Trials are read against all that was found, so that those of refused recordings can be told from typing
// errors.
static int check_trials(const Settings *s, const Corpus *corpus, const char *folder, cJSON *report,
                        Error *error)
{
    Rejects rejects = {0};
    Trials trials = {0};
    int64_t n = corpus_count(corpus);
    int status = rejects_load(folder, &rejects, error);
    char **utts = mem_alloc((size_t)(n + rejects.n) + 1, sizeof(char *));
    memcpy(utts, corpus_utts(corpus), (size_t)n * sizeof(char *));
    memcpy(utts + n, rejects.utts, (size_t)rejects.n * sizeof(char *));
    qsort(utts, (size_t)(n + rejects.n), sizeof(char *), compare_texts);
    if (status == 0)
        status = trials_load(s->trials, utts, n + rejects.n, &trials, error);
    const char *refused = status == 0 ? find_refused(&trials, utts, corpus) : NULL;
    if (refused)
        status = error_set(error, "%s has a trial of %s, which is not among the prepared recordings: %s",
                           s->trials, refused, reason_of(&rejects, refused));
    json_add_number(report, "target_trials", (double)trials.n_target);
    json_add_number(report, "nontarget_trials", (double)trials.n_nontarget);
    trials_release(&trials);
    mem_free(utts);
    rejects_release(&rejects);
    return status;
}

static int check_truth(const Settings *s, const Corpus *corpus, cJSON *report, Error *error)
{
    LabelList list;
    const char *form;
    int64_t n = corpus_count(corpus);
    if (labels_load(s->truth, corpus_utts(corpus), n, &list, &form, error) < 0)
        return -1;
    int64_t *labels = mem_alloc((size_t)n + 1, sizeof(int64_t)), n_covered;
    n_covered = labels_cover(&list, corpus_utts(corpus), n, labels);
    mem_free(labels);
    labels_release(&list);
    json_add_number(report, "truth_utterances", (double)n_covered);
    if (n_covered == 0)
        return error_set(error, "%s speaks of none of the %" PRId64 " recordings", s->truth, n);
    if (n_covered < n)
        log_warn("%s speaks of %" PRId64 " of %" PRId64 " recordings; what is measured with it is of these",
                 s->truth, n_covered, n);
    return 0;
}

static int check_lists(const Settings *s, cJSON *report, Error *error)
{
    const char *trials_folder = s->test ? s->test : s->audio;
    Corpus *audio = corpus_open(s->audio, error), *test = NULL;
    int status = audio ? 0 : -1;
    if (status == 0 && s->test)
        status = (test = corpus_open(s->test, error)) ? 0 : -1;
    if (status == 0 && s->trials)
        status = check_trials(s, test ? test : audio, trials_folder, report, error);
    if (status == 0 && s->truth)
        status = check_truth(s, audio, report, error);
    corpus_close(test);
    corpus_close(audio);
    return status;
}

// ---- weights

// That they are a model of an encoder that is known, without the memory that it takes.
static int check_weights(const char *path, Error *error)
{
    cJSON *architecture = model_architecture(path, error);
    if (!architecture)
        return -1;
    Parameters parameters;
    parameters_init(&parameters);
    Encoder *encoder = encoder_create(architecture, &parameters, error);
    int status = encoder ? 0 : error_prefix(error, "%s", path);
    encoder_destroy(encoder);
    parameters_release(&parameters);
    cJSON_Delete(architecture);
    return status;
}

// ---- recordings of noise and rooms

// As training will load them: broken files are left out with a warning, a folder without good ones is an
// error.
static int check_augmentation(const Settings *s, Error *error)
{
    AugmentOptions options = {.probability = 1, .noise_folder = s->noise, .rir_folder = s->rir};
    Augmenter *augmenter = augmenter_create(&options, error);
    augmenter_destroy(augmenter);
    return augmenter ? 0 : -1;
}

// ---- the stage

static int run(const Program *program, const Settings *s, Error *error)
{
    cJSON *report = cJSON_CreateObject();
    int status = 0;
    if (s->weights)
        status = check_weights(s->weights, error);
    if (status == 0 && (s->noise || s->rir))
        status = check_augmentation(s, error);
    if (status == 0)
        status = check_lists(s, report, error);
    if (status == 0) {
        char *text = cJSON_Print(report);
        status = publish_text(s->out, text, error);
        cJSON_free(text);
    }
    cJSON_Delete(report);
    return status < 0 ? -1 : provenance_publish(program, s->out, error);
}

int main(int argc, char **argv)
{
    Settings s = {0};
    const Option options[] = {
        option_required(option_input("audio", &s.audio, "DIR", "audio as voxloop-prepare leaves it")),
        option_input("test", &s.test, "DIR",
                     "prepared audio that the trials are of (default: that of --audio)"),
        option_input("trials", &s.trials, "FILE", "trials: both kinds, of recordings that were prepared"),
        option_input("truth", &s.truth, "FILE", "utt2spk: of some recordings at least"),
        option_input("weights", &s.weights, "FILE", "a model (safetensors) that training will start from"),
        option_input("noise", &s.noise, "DIR", "noise recordings: that some can be read"),
        option_input("rir", &s.rir, "DIR", "room responses: that some can be read"),
        option_required(option_output("out", &s.out, "FILE", "JSON: what was found")),
        {0}};
    Program program = {.name = "check",
                       .summary = "Looks at what a run is given, before hours are spent on it.",
                       .usage = "[options] --audio DIR --out FILE"};
    program_begin(&program, options, argc, argv);
    if (up_to_date(&program, s.out))
        return 0;
    outputs_check(&program, NULL);
    Error error = {0};
    if (run(&program, &s, &error) < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%s", s.out);
}
