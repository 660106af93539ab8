// voxloop-evaluate: cosine scores of trials, EER and minDCF, beside those of untrained statistics.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audio/fbank.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/progress.h"
#include "cache/corpus.h"
#include "base/files.h"
#include "cache/embeddings.h"
#include "cache/label_shard.h"
#include "cache/pieces.h"
#include "cache/provenance.h"
#include "cache/publish.h"
#include "score/cosine.h"
#include "report/eval_summary.h"
#include "score/calibration.h"
#include "score/metrics.h"
#include "score/score_norm.h"
#include "score/statistics_baseline.h"
#include "score/trials.h"
#include "train/pair_scorer.h"

typedef struct Settings {
    const char *embeddings, *list, *trials, *scores, *report, *audio, *norm, *cohort, *cohort_labels;
    const char *crop_embeddings, *pair_head;
    const char *calibrate, *calibration; // to write, to read
    bool label_free, center;
    int64_t label_free_pairs, top;
} Settings;

// Samples of each embedding's utterance or half; NULL where an utterance is not in the corpus, which is an
// error.
static int64_t *durations_of(const char *audio, const Embeddings *embeddings, Error *error)
{
    Corpus *corpus = corpus_open(audio, error);
    if (!corpus)
        return NULL;
    int64_t *durations = mem_alloc((size_t)embeddings->n, sizeof(int64_t)), i = 0;
    for (Piece piece; i < embeddings->n && piece_find(corpus, embeddings->utts[i], &piece) == 0; i++)
        durations[i] = piece.n_samples;
    if (i < embeddings->n) {
        error_set(error, "%s has an embedding but is not in the audio folder", embeddings->utts[i]);
        mem_free(durations);
        durations = NULL;
    }
    corpus_close(corpus);
    return durations;
}

static int make_label_free(const Settings *settings, int64_t seed, const Embeddings *embeddings,
                           Trials *trials, Error *error)
{
    int64_t *durations = settings->audio ? durations_of(settings->audio, embeddings, error) : NULL;
    if (settings->audio && !durations)
        return -1;
    trials_label_free(embeddings->utts, embeddings->n, durations, settings->label_free_pairs, seed, trials);
    mem_free(durations);
    return 0;
}

static int load_trials(const Settings *settings, int64_t seed, const Embeddings *embeddings, Trials *trials,
                       Error *error)
{
    int status = settings->label_free
                     ? make_label_free(settings, seed, embeddings, trials, error)
                     : trials_load(settings->trials, embeddings->utts, embeddings->n, trials, error);
    if (status < 0)
        return -1;
    log_info("trials: %lld target, %lld nontarget; form %s", (long long)trials->n_target,
             (long long)trials->n_nontarget, trials->form);
    if (trials->n == 0)
        log_warn("no recording has two utterances, or all are of one: there are no label-free trials, and no "
                 "EER; voxloop-extract --halves makes two of each");
    return 0;
}

static int to_unit_length(float *rows, char *const *utts, int64_t n, int64_t dim, Error *error)
{
    int64_t bad = rows_normalise(rows, n, dim);
    return bad < 0 ? 0 : error_set(error, "the embedding of %s is zero or not finite", utts[bad]);
}

static bool *targets_of(const Trials *trials)
{
    bool *targets = mem_alloc((size_t)trials->n, sizeof(bool));
    for (int64_t t = 0; t < trials->n; t++)
        targets[t] = trials->trials[t].target;
    return targets;
}

static int measure_curve(const Trials *trials, const double *scores, DetCurve *curve, Error *error)
{
    bool *targets = targets_of(trials);
    int status = det_curve_create(scores, targets, trials->n, curve, error);
    mem_free(targets);
    return status;
}

// --- the cohort

// One row per pseudo-speaker instead of one per utterance.
static int take_class_means(const char *path, Embeddings *cohort, Error *error)
{
    LabelList list;
    if (labels_load_any(path, &list, error) < 0)
        return -1;
    int64_t *labels = mem_alloc((size_t)cohort->n, sizeof(int64_t));
    int status = labels_align(&list, path, cohort->utts, cohort->n, labels, error);
    if (status == 0) {
        float *means = class_means(cohort->matrix, labels, cohort->n, cohort->dim, list.n_labels);
        mem_free(cohort->matrix);
        strings_free(cohort->utts, cohort->n);
        cohort->matrix = means;
        cohort->utts = NULL;
        cohort->n = list.n_labels;
    }
    mem_free(labels);
    labels_release(&list);
    return status;
}

// The embeddings to score against, of length 1, with the same mean subtracted as from those under test.
static int load_cohort(const Settings *s, const Embeddings *embeddings, Embeddings *cohort, float **mean,
                       Error *error)
{
    if (embeddings_load(s->cohort, NULL, cohort, error) < 0)
        return -1;
    if (cohort->dim != embeddings->dim)
        return error_set(error, "%s holds embeddings of %lld dimensions, %s of %lld", s->cohort,
                         (long long)cohort->dim, s->embeddings, (long long)embeddings->dim);
    if (s->center) {
        *mean = rows_mean(cohort->matrix, cohort->n, cohort->dim);
        rows_subtract(cohort->matrix, cohort->n, cohort->dim, *mean);
    }
    if (to_unit_length(cohort->matrix, cohort->utts, cohort->n, cohort->dim, error) < 0)
        return error_prefix(error, "%s", s->cohort);
    return s->cohort_labels ? take_class_means(s->cohort_labels, cohort, error) : 0;
}

static void normalise(const Settings *s, const Embeddings *embeddings, const Embeddings *cohort,
                      const Trials *trials, double *scores)
{
    int64_t top = strcmp(s->norm, "as-norm") == 0 ? s->top : 0;
    log_info("%s: cohort of %lld, the %lld nearest count", s->norm, (long long)cohort->n,
             (long long)(top > 0 && top < cohort->n ? top : cohort->n));
    CohortStatistics statistics =
        cohort_statistics(embeddings->matrix, embeddings->n, cohort->matrix, cohort->n, embeddings->dim, top);
    score_normalise(trials, &statistics, scores);
    cohort_statistics_release(&statistics);
}

// --- the untrained baseline

static int statistics_of(const Corpus *corpus, const Fbank *fbank, const char *utt, float *embedding,
                         Error *error)
{
    Piece piece;
    if (piece_find(corpus, utt, &piece) < 0)
        return error_set(error, "%s has an embedding but is not in the audio folder", utt);
    float *samples = mem_alloc((size_t)piece.n_samples, sizeof(float));
    int status = corpus_read(corpus, piece.utt, piece.start, piece.n_samples, samples, error);
    if (status == 0)
        statistics_embedding(fbank, samples, piece.n_samples, embedding);
    mem_free(samples);
    return status;
}

// rows [n, STATISTICS_DIM]; only utterances that a trial names are read, the others' rows hold 1.
static int statistics_of_all(const Corpus *corpus, const Embeddings *embeddings, const Trials *trials,
                             float *rows, Error *error)
{
    bool *needed = mem_zero((size_t)embeddings->n, sizeof(bool));
    for (int64_t t = 0; t < trials->n; t++)
        needed[trials->trials[t].enroll] = needed[trials->trials[t].test] = true;
    Fbank *fbank = statistics_fbank();
    Progress *progress = progress_create("utt", embeddings->n);
    int status = 0;
#pragma omp parallel for schedule(dynamic, 8)
    for (int64_t i = 0; i < embeddings->n; i++) {
        Error own = {0};
        rows[i * STATISTICS_DIM] = 1;
        if (needed[i] &&
            statistics_of(corpus, fbank, embeddings->utts[i], rows + i * STATISTICS_DIM, &own) < 0) {
#pragma omp critical
            status = error_set(error, "%s", own.text);
        }
        progress_step(progress, 1);
    }
    progress_destroy(progress);
    fbank_destroy(fbank);
    mem_free(needed);
    return status;
}

static int measure_baseline(const char *audio, const Embeddings *embeddings, const Trials *trials,
                            double *eer, Error *error)
{
    Corpus *corpus = corpus_open(audio, error);
    if (!corpus)
        return -1;
    float *rows = mem_zero((size_t)embeddings->n, STATISTICS_DIM * sizeof(float));
    double *scores = mem_alloc((size_t)trials->n, sizeof(double));
    DetCurve curve = {0};
    int status = statistics_of_all(corpus, embeddings, trials, rows, error);
    if (status == 0)
        status = to_unit_length(rows, embeddings->utts, embeddings->n, STATISTICS_DIM, error);
    if (status == 0) {
        cosine_score(rows, STATISTICS_DIM, trials, scores);
        status = measure_curve(trials, scores, &curve, error);
    }
    if (status == 0)
        *eer = det_eer(&curve, NULL);
    det_curve_release(&curve);
    mem_free(scores);
    mem_free(rows);
    corpus_close(corpus);
    return status;
}

// --- the pair head

// To mean 0 and standard deviation 1 over the trials, which takes no labels.
static void standardise(double *scores, int64_t n)
{
    double sum = 0, squares = 0;
    for (int64_t t = 0; t < n; t++)
        sum += scores[t];
    for (int64_t t = 0; t < n; t++)
        squares += (scores[t] - sum / (double)n) * (scores[t] - sum / (double)n);
    double deviation = sqrt(squares / (double)n);
    for (int64_t t = 0; t < n; t++)
        scores[t] = (scores[t] - sum / (double)n) / (deviation > 0 ? deviation : 1);
}

static int measure_scores(const Trials *trials, const double *scores, double *eer, double *min_dcf_p01,
                          Error *error)
{
    DetCurve curve;
    if (measure_curve(trials, scores, &curve, error) < 0)
        return -1;
    *eer = det_eer(&curve, NULL);
    *min_dcf_p01 = det_min_dcf(&curve, 0.01);
    det_curve_release(&curve);
    return 0;
}

// The head alone, and the mean of its standardised scores and those that are there.
static int measure_pair_head(const char *model, const Embeddings *embeddings, const Trials *trials,
                             const double *scores, EvalSummary *result, Error *error)
{
    size_t n = (size_t)trials->n;
    double *fused = mem_alloc(2 * n, sizeof(double)), *others = fused + n;
    int status = pair_head_score(model, embeddings->matrix, embeddings->dim, trials, fused, error);
    if (status == 0)
        status = measure_scores(trials, fused, &result->pair_eer, &result->pair_min_dcf_p01, error);
    memcpy(others, scores, n * sizeof(double));
    standardise(fused, trials->n);
    standardise(others, trials->n);
    for (size_t t = 0; t < n; t++)
        fused[t] = (fused[t] + others[t]) / 2;
    if (status == 0)
        status = measure_scores(trials, fused, &result->fused_eer, &result->fused_min_dcf_p01, error);
    mem_free(fused);
    return status;
}

// --- calibration

// Turns scores into log-likelihood ratios, where the user asked for them.
static int calibrate(const Settings *s, const Trials *trials, double *scores, Error *error)
{
    Calibration calibration;
    if (s->calibration && calibration_load(s->calibration, &calibration, error) < 0)
        return -1;
    if (s->calibrate) {
        bool separable, *targets = targets_of(trials);
        int status = calibration_fit(scores, targets, trials->n, &calibration, &separable, error);
        mem_free(targets);
        if (status < 0 || calibration_publish(s->calibrate, &calibration, error) < 0)
            return -1;
        if (separable)
            log_warn("no trial is on the wrong side: %s says too much of what it is sure of", s->calibrate);
    }
    if (s->calibration || s->calibrate)
        calibration_apply(&calibration, scores, trials->n);
    return 0;
}

static void measure_calibrated(const Trials *trials, const double *llrs, EvalSummary *result)
{
    bool *targets = targets_of(trials);
    result->calibrated = true;
    result->cllr = cllr(llrs, targets, trials->n);
    result->cllr_min = cllr_min(&result->curve);
    result->actual_dcf_p01 = actual_dcf(llrs, targets, trials->n, 0.01);
    result->actual_dcf_p05 = actual_dcf(llrs, targets, trials->n, 0.05);
    mem_free(targets);
}

// --- outputs

static int publish_scores(const char *path, const Embeddings *embeddings, const Trials *trials,
                          const double *scores, Error *error)
{
    PublishFile *file = publish_open(path, error);
    if (!file)
        return -1;
    for (int64_t t = 0; t < trials->n; t++) {
        const Trial *trial = &trials->trials[t];
        fprintf(publish_stream(file), "%s %s %.6f %s\n", embeddings->utts[trial->enroll],
                embeddings->utts[trial->test], scores[t], trial->target ? "target" : "nontarget");
    }
    return publish_commit(file, error);
}

// Averages each score with the mean cosine over all pairs of the two utterances' crops, which is the product
// of their mean unit vectors (voxceleb_trainer's and wavlm_ssl_sv's way).
static int add_crops(const char *path, const Embeddings *embeddings, const Trials *trials, double *scores,
                     Error *error)
{
    Embeddings crops;
    if (embeddings_load(path, NULL, &crops, error) < 0)
        return -1;
    int status = 0;
    float *rows = mem_alloc((size_t)embeddings->n, (size_t)crops.dim * sizeof(float));
    for (int64_t i = 0; status == 0 && i < embeddings->n; i++) {
        int64_t at = embeddings_find(&crops, embeddings->utts[i]);
        if (at < 0)
            status =
                error_set(error, "%s has no %s; extract both from the same audio", path, embeddings->utts[i]);
        else
            memcpy(rows + i * crops.dim, crops.matrix + at * crops.dim, (size_t)crops.dim * sizeof(float));
    }
    double *of_crops = mem_alloc((size_t)trials->n, sizeof(double));
    if (status == 0)
        cosine_score(rows, crops.dim, trials, of_crops);
    for (int64_t t = 0; status == 0 && t < trials->n; t++)
        scores[t] = (scores[t] + of_crops[t]) / 2;
    mem_free(of_crops);
    mem_free(rows);
    embeddings_release(&crops);
    return status;
}

static int score(const Settings *s, Embeddings *embeddings, const Trials *trials, double *scores,
                 Error *error)
{
    Embeddings cohort = {0};
    float *mean = NULL;
    int status = s->cohort ? load_cohort(s, embeddings, &cohort, &mean, error) : 0;
    if (mean)
        rows_subtract(embeddings->matrix, embeddings->n, embeddings->dim, mean);
    else if (s->center)
        rows_subtract_mean(embeddings->matrix, embeddings->n, embeddings->dim);
    if (status == 0)
        status = to_unit_length(embeddings->matrix, embeddings->utts, embeddings->n, embeddings->dim, error);
    if (status == 0) {
        cosine_score(embeddings->matrix, embeddings->dim, trials, scores);
        if (s->cohort)
            normalise(s, embeddings, &cohort, trials, scores);
        if (s->crop_embeddings)
            status = add_crops(s->crop_embeddings, embeddings, trials, scores, error);
    }
    mem_free(mean);
    embeddings_release(&cohort);
    return status;
}

typedef struct Evaluation {
    Embeddings embeddings;
    Trials trials;
    double *scores; // [trials.n]
    EvalSummary result;
} Evaluation;

static int evaluate(const Settings *settings, int64_t seed, Embeddings *embeddings, const Trials *trials,
                    double *scores, EvalSummary *result, Error *error)
{
    if (trials->n == 0)
        return 0;
    if (score(settings, embeddings, trials, scores, error) < 0 ||
        calibrate(settings, trials, scores, error) < 0 ||
        measure_curve(trials, scores, &result->curve, error) < 0)
        return -1;
    result->measured = true;
    result->eer = det_eer(&result->curve, &result->eer_threshold);
    result->interval = eer_interval(trials, scores, embeddings->n, seed);
    result->min_dcf_p01 = det_min_dcf(&result->curve, 0.01);
    result->min_dcf_p05 = det_min_dcf(&result->curve, 0.05);
    if (settings->calibrate || settings->calibration)
        measure_calibrated(trials, scores, result);
    if (settings->pair_head &&
        measure_pair_head(settings->pair_head, embeddings, trials, scores, result, error) < 0)
        return -1;
    if (!settings->audio)
        return 0;
    return measure_baseline(settings->audio, embeddings, trials, &result->baseline_eer, error);
}

static int run(const Program *program, const Settings *s, Evaluation *e, Error *error)
{
    if (embeddings_load(s->embeddings, s->list, &e->embeddings, error) < 0 ||
        load_trials(s, program->seed, &e->embeddings, &e->trials, error) < 0)
        return -1;
    e->result.n_target = e->trials.n_target;
    e->result.n_nontarget = e->trials.n_nontarget;
    e->result.trial_form = e->trials.form;
    e->scores = mem_alloc((size_t)e->trials.n + 1, sizeof(double));
    const char *inputs[7] = {s->embeddings},
               *optional[] = {s->trials, s->cohort, s->cohort_labels, s->calibration, s->pair_head};
    for (int i = 0, n = 1; i < 5; i++)
        if (optional[i])
            inputs[n++] = optional[i];
    if (evaluate(s, program->seed, &e->embeddings, &e->trials, e->scores, &e->result, error) < 0 ||
        publish_scores(s->scores, &e->embeddings, &e->trials, e->scores, error) < 0 ||
        provenance_publish(program, s->scores, inputs, error) < 0 ||
        eval_summary_publish(s->report, &e->result, error) < 0)
        return -1;
    eval_summary_print(s->scores, &e->result);
    return 0;
}

static void release(Evaluation *e)
{
    det_curve_release(&e->result.curve);
    mem_free(e->scores);
    trials_release(&e->trials);
    embeddings_release(&e->embeddings);
}

int main(int argc, char **argv)
{
    Settings s = {.label_free_pairs = 20000, .norm = "none", .top = 300};
    const Option options[] = {
        {"embeddings", OPTION_TEXT, &s.embeddings, 0, 0, NULL, "FILE",
         "embeddings: shard, .npy, Kaldi .ark or .scp", true},
        {"list", OPTION_TEXT, &s.list, 0, 0, NULL, "FILE",
         "utterances of a .npy (default: utts.txt beside it)", false},
        {"trials", OPTION_TEXT, &s.trials, 0, 0, NULL, "FILE",
         "trials: `1|0 enroll test` or `enroll test target|nontarget`", false},
        {"label-free", OPTION_FLAG, &s.label_free, 0, 0, NULL, NULL,
         "no trials: pairs from the same recording (folder, or file in halves) against pairs from different "
         "ones",
         false},
        {"label-free-pairs", OPTION_INTEGER, &s.label_free_pairs, 1, 1e8, NULL, NULL,
         "at most this many of each kind", false},
        {"center", OPTION_FLAG, &s.center, 0, 0, NULL, NULL,
         "subtract the mean embedding first (of the cohort, where there is one)", false},
        {"norm", OPTION_CHOICE, &s.norm, 0, 0, "none|s-norm|as-norm", NULL, "of the scores, by a cohort",
         false},
        {"cohort", OPTION_TEXT, &s.cohort, 0, 0, NULL, "FILE", "embeddings of other utterances", false},
        {"cohort-labels", OPTION_TEXT, &s.cohort_labels, 0, 0, NULL, "FILE",
         "their pseudo-speakers: the cohort is each one's mean", false},
        {"top", OPTION_INTEGER, &s.top, 1, 1e9, NULL, NULL,
         "of the cohort, the nearest that count in as-norm", false},
        {"crop-embeddings", OPTION_TEXT, &s.crop_embeddings, 0, 0, NULL, "FILE",
         "of voxloop-extract --crops: scores are averaged with the crops' mean cosine", false},
        {"pair-head", OPTION_TEXT, &s.pair_head, 0, 0, NULL, "MODEL",
         "also score with the pair head of a model (voxloop-finetune --objectives aam,pair)", false},
        {"calibrate", OPTION_TEXT, &s.calibrate, 0, 0, NULL, "FILE",
         "learn from these trials what makes scores log-likelihood ratios, and write it", false},
        {"calibration", OPTION_TEXT, &s.calibration, 0, 0, NULL, "FILE",
         "scores become log-likelihood ratios by what --calibrate wrote for other trials", false},
        {"audio", OPTION_TEXT, &s.audio, 0, 0, NULL, "DIR",
         "prepared audio: also measure untrained statistics on the same trials; label-free ones match in "
         "length",
         false},
        {"scores", OPTION_TEXT, &s.scores, 0, 0, NULL, "FILE", "score file: enroll test score label", true},
        {"report", OPTION_TEXT, &s.report, 0, 0, NULL, "FILE", "eval.json", true},
        {0}};
    Program program = {
        .name = "evaluate",
        .summary = "Scores trials with cosine and measures EER and minDCF.",
        .usage = "[options] --embeddings FILE (--trials FILE | --label-free) --scores FILE --report FILE",
        .details = "EER is interpolated on the ROC as wespeaker does; minDCF is divided by min(p, 1-p)."};
    program_begin(&program, options, argc, argv);
    if (!s.trials == !s.label_free)
        program_misuse(&program, "give either --trials FILE or --label-free");

    if (s.crop_embeddings && (s.center || s.cohort))
        program_misuse(&program, "--crop-embeddings goes without --center and --norm");
    if (s.pair_head && s.center)
        program_misuse(&program, "--pair-head goes without --center");
    if (s.calibrate && s.calibration)
        program_misuse(&program, "--calibrate and --calibration exclude each other");
    bool normalises = strcmp(s.norm, "none") != 0;
    if (normalises == !s.cohort)
        program_misuse(&program, "--norm s-norm or as-norm and --cohort FILE belong together");

    Error error = {0};
    Evaluation e = {.result = {.baseline_eer = NAN,
                               .norm = s.norm,
                               .label_free = s.label_free,
                               .calibrated_here = s.calibrate != NULL,
                               .has_pair_head = s.pair_head != NULL}};
    int status = run(&program, &s, &e, &error);
    int64_t n_trials = e.trials.n;
    release(&e);
    if (status < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%lld trials", (long long)n_trials);
}
